"""Draw docs/architecture.svg: the packages of toolkit/ in their layers, and who imports whom.

Layers are those of ``LAYERS`` in tests/test_layers.py. An arrow is an import; one that a longer way of arrows already
implies is left out (transitive reduction, Aho, Garey and Ullman 1972), and so are those to ``core``.

Example:
    python docs/make_architecture.py
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from xml.sax.saxutils import escape

REPO = Path(__file__).resolve().parents[1]
TARGET = REPO / "docs" / "architecture.svg"
WIDTH, LEFT, ROW, HEIGHT, GAP, TOP = 1240, 30, 112, 50, 22, 24
"""Of the drawing, in pixels: width, left margin, distance of rows, height of a box, least gap of boxes, top margin."""
LEAST_WIDTH, PER_LINE = 84, 0.021
"""Width of a box without lines, and what each line of code adds."""
SWEEPS = 8
MOST_ORDERS = 6
"""Longer rows are ordered by the mean place of what they are linked to."""
BASE = "core"
Edges = dict[str, set[str]]


@dataclass(frozen=True)
class Box:
    """A package in the drawing; x and y are its upper left corner.

    Attributes:
        name: Below ``toolkit``.
        lines: Of code, docstrings and comments.
    """

    name: str
    lines: int
    x: float
    y: float
    width: float

    @property
    def middle(self) -> float:
        """Of its width."""
        return self.x + self.width / 2


def read_layers() -> dict[str, int]:
    """Package -> layer, from the test that enforces them."""
    tree = ast.parse((REPO / "tests" / "test_layers.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "LAYERS":
            found: dict[str, int] = ast.literal_eval(node.value)
            return {name.removeprefix("toolkit."): layer for name, layer in found.items()}
    raise RuntimeError("tests/test_layers.py has no LAYERS")


def files_of(package: str) -> list[Path]:
    """The modules of a package, or the module of that name."""
    folder = REPO / "toolkit" / package
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def count_lines(package: str) -> int:
    """Lines of all its modules."""
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files_of(package))


def imports_of(package: str, known: set[str]) -> set[str]:
    """Other packages that it imports anywhere, inside functions and for type checkers included."""
    found = set()
    for path in files_of(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name.split(".")[1] for name in names if name.startswith("toolkit.")}
    return (found & known) - {package}


def all_imports() -> Edges:
    """Package -> the packages that it imports."""
    known = set(read_layers())
    return {package: imports_of(package, known) for package in read_layers()}


def reached(edges: Edges, start: str) -> set[str]:
    """What can be reached along one arrow or more."""
    found: set[str] = set()
    waiting = set(edges[start])
    while waiting:
        node = waiting.pop()
        found.add(node)
        waiting |= edges[node] - found
    return found


def arrows() -> Edges:
    """The imports that no longer way implies, without those of the base."""
    edges = all_imports()
    kept = {
        package: {each for each in targets if not any(each in reached(edges, other) for other in targets - {each})}
        for package, targets in edges.items()
    }
    return {package: targets - {BASE} for package, targets in kept.items()}


def placed(row: list[str], lines: dict[str, int], y: float) -> list[Box]:
    """A row of boxes, spread over the width; the base takes all of it."""
    widths = [WIDTH - 2 * LEFT] if row == [BASE] else [LEAST_WIDTH + PER_LINE * lines[name] for name in row]
    gap = min((WIDTH - 2 * LEFT - sum(widths)) / (len(row) + 1), 150.0)
    x = (WIDTH - sum(widths) - gap * (len(row) - 1)) / 2
    boxes = []
    for name, width in zip(row, widths, strict=True):
        boxes.append(Box(name, lines[name], x, y, width))
        x += width + gap
    return boxes


def boxes() -> dict[str, Box]:
    """All boxes, layers from the top down, each row in the order that makes its arrows shortest."""
    layers, edges = read_layers(), arrows()
    lines = {package: count_lines(package) for package in layers}
    rows = [sorted(name for name in layers if layers[name] == layer) for layer in sorted(set(layers.values()))][::-1]
    linked = {name: edges[name] | {other for other in layers if name in edges[other]} for name in layers}
    found: dict[str, Box] = {}
    for _ in range(SWEEPS):
        for index, row in enumerate(rows):
            found |= {box.name: box for box in placed(row, lines, TOP + ROW * index)}
        for index, row in enumerate(rows):
            if len(row) > MOST_ORDERS:
                centre = {name: sum(found[each].middle for each in linked[name]) / len(linked[name]) for name in row}
                row.sort(key=lambda name: (centre[name], name))
            else:
                tried = [
                    {box.name: box for box in placed(list(order), lines, TOP + ROW * index)}
                    for order in permutations(sorted(row))
                ]
                row[:] = min(tried, key=lambda some: length(found | some, edges))
            found |= {box.name: box for box in placed(row, lines, TOP + ROW * index)}
    return found


def length(found: dict[str, Box], edges: Edges) -> float:
    """Of all arrows from left to right; what goes over neighbours in its own row counts more."""
    return sum(
        abs(found[start].middle - found[end].middle) * (2 if found[start].y == found[end].y else 1)
        for start in edges
        for end in edges[start]
    )


def rounded(lines: int) -> str:
    """A number of lines, to the hundred, so that small changes do not change the drawing."""
    return str(round(lines, -2) if lines >= 100 else lines)


def draw_arrow(start: Box, end: Box, shift: tuple[float, float]) -> str:
    """A curve from a box down to another, or in an arc above a row; shifts are along the boxes' sides."""
    x1, x2 = start.middle + shift[0], end.middle + shift[1]
    if start.y == end.y:
        away = 1 if end.x > start.x else -1
        x1, x2, y, up = start.middle + away * 12, end.middle - away * 12, start.y, start.y - 42
        path = f"M{x1:.0f},{y:.0f} C{x1 + away * 10:.0f},{up:.0f} {x2 - away * 10:.0f},{up:.0f} {x2:.0f},{y - 2:.0f}"
    else:
        y1, y2 = start.y + HEIGHT, end.y - 2
        bend = (y2 - y1) * 0.45
        path = f"M{x1:.0f},{y1:.0f} C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f} {x2:.0f},{y2:.0f}"
    return f'<path id="{start.name}-{end.name}" d="{path}"/>'


def shifts(found: dict[str, Box], edges: Edges) -> dict[tuple[str, str], tuple[float, float]]:
    """Where arrows begin and end, from the middle of the sides: in the order of what they are linked to."""
    pairs = [(start, end) for start in edges for end in edges[start] if found[start].y != found[end].y]
    moved: dict[tuple[str, str], list[float]] = {pair: [0.0, 0.0] for pair in pairs}
    for side in (0, 1):
        for name, box in found.items():
            mine = sorted((pair for pair in pairs if pair[side] == name), key=lambda pair: found[pair[1 - side]].middle)
            step = min(26.0, (box.width - 24) / max(1, len(mine)))
            for index, pair in enumerate(mine):
                moved[pair][side] = (index - (len(mine) - 1) / 2) * step
    return {pair: (values[0], values[1]) for pair, values in moved.items()}


def draw_box(box: Box, layer: int, imports: Edges) -> str:
    """A box with its name and lines; all that it imports is shown where the pointer is."""
    tip = f"{box.name}: imports {', '.join(sorted(imports[box.name])) or 'no other package'}"
    users = sum(box.name in targets for targets in imports.values())
    remark = f" · imported by {users} of the {len(imports) - 1} others" if box.name == BASE else ""
    return "\n".join(
        (
            f'<g class="layer{layer}"><title>{escape(tip)}</title>',
            f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{HEIGHT}" rx="6"/>',
            f'<text class="name" x="{box.middle:.0f}" y="{box.y + 22:.0f}">{box.name}</text>',
            f'<text x="{box.middle:.0f}" y="{box.y + 39:.0f}">{rounded(box.lines)} lines{remark}</text></g>',
        )
    )


STYLE = """
text { font: 12px "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #3c4654; text-anchor: middle }
text.name { font-size: 15px; font-weight: 600; fill: #14202e }
text.layer { fill: #7a8594; text-anchor: start }
rect { fill: #e3ecfb; stroke: #5b7fb8 }
.layer0 rect { fill: #eceff3; stroke: #8a95a5 }
.layer1 rect { fill: #f5eedd; stroke: #b59a52 }
.layer3 rect { fill: #d3e9dc; stroke: #4f9a70 }
.layer4 rect { fill: #f2e2ef; stroke: #a46c98 }
.layer5 rect, .layer6 rect { fill: #fbe6dc; stroke: #c07a55 }
path { fill: none; stroke: #55606e; stroke-width: 1.3; marker-end: url(#head) }
"""


def drawing() -> str:
    """The whole SVG."""
    layers, imports, edges, found = read_layers(), all_imports(), arrows(), boxes()
    height = TOP + ROW * (max(layers.values())) + HEIGHT + 20
    moved = shifts(found, edges)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">',
        '<path d="M0,0 L8,4 L0,8 z" style="fill:#55606e;stroke:none;marker-end:none"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height}" style="fill:#ffffff;stroke:none"/>',
    ]
    for layer in sorted(set(layers.values()), reverse=True):
        y = next(found[name].y for name in layers if layers[name] == layer)
        parts.append(f'<text class="layer" x="6" y="{y + HEIGHT / 2 + 4:.0f}">{layer}</text>')
    for start in edges:
        for end in sorted(edges[start]):
            parts.append(draw_arrow(found[start], found[end], moved.get((start, end), (0, 0))))
    parts += [draw_box(box, layers[name], imports) for name, box in found.items()]
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    TARGET.write_text(drawing(), encoding="utf-8")
