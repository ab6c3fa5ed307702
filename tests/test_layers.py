"""The architecture: who may import whom, and the house rules that a parser can check."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.task_decisions import task_decisions

REPO = Path(__file__).resolve().parents[1]

LAYERS = {
    "toolkit.core": 0,
    "toolkit.tasks": 1,
    "toolkit.config": 1,
    "toolkit.cache": 2,
    "toolkit.data": 2,
    "toolkit.zoo": 2,
    "toolkit.kernels": 2,
    "toolkit.transfer": 2,
    "toolkit.callbacks": 2,
    "toolkit.inference": 2,
    "toolkit.pages": 2,
    "toolkit.engine": 3,
    "toolkit.advise": 4,
    "toolkit.bakeoff": 4,
    "toolkit.deploy": 4,
    "toolkit.explain": 4,
    "toolkit.commands": 5,
    "toolkit.__main__": 6,
    "toolkit.trainer": 5,
    "toolkit.fine_tuned": 6,
    "toolkit.fine_tuner": 7,
}
"""Part -> layer. Imports point downward; parts of a layer in ``SEPARATE`` do not import each other."""
SEPARATE = {2}
LIGHT_LAYERS = {0, 1}
LIGHT_PARTS = {"toolkit", *(f"toolkit.commands.{name}" for name in ("app", "arguments", "checks", "cli", "launch"))}
HEAVY = {"cv2", "paddle", "matplotlib", "onnxruntime", "scipy", "sklearn", "visualdl"}
"""Not imported at the top of light modules, so that ``--help`` and errors in configs appear at once."""
NEVER_AT_THE_TOP = {"paddleclas", "paddle2onnx"}
ONE_HOME = {
    "get_close_matches": "toolkit.core.names",
    "sched_getaffinity": "toolkit.core.runtime",
    "SeedSequence": "toolkit.core.random",
}
"""Name -> the only module that may use it."""
MOST_LINES = 350
MOST_TOOL_LINES = 8


@dataclass(frozen=True)
class Import:
    """One imported module.

    Attributes:
        target: Dotted name of a module.
        names: Imported names; empty for ``import target``.
        line: Line number.
        deferred: Inside a function.
        typing_only: Under ``if TYPE_CHECKING``.
    """

    target: str
    names: tuple[str, ...]
    line: int
    deferred: bool = False
    typing_only: bool = False


def module_name(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((REPO / "toolkit").rglob("*.py"))}
TOOLS = sorted((REPO / "tools").glob("*.py"))


def imports_of(module: str, tree: ast.AST, is_package: bool = False) -> Iterator[Import]:
    """Yield the imports of a module, with submodules resolved and relative imports made absolute."""

    def visit(node: ast.AST, deferred: bool, typing_only: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, (), node.lineno, deferred, typing_only)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")
                parents = parents[: len(parents) - node.level + is_package]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                target, names = (inner, ()) if inner in MODULES else (base, (alias.name,))
                yield Import(target, names, node.lineno, deferred, typing_only)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.body:
                yield from visit(child, deferred, True)
            for child in node.orelse:
                yield from visit(child, deferred, typing_only)
        else:
            inside = deferred or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside, typing_only)

    yield from visit(tree, False, False)


def part_of(module: str) -> str:
    """The row of ``LAYERS`` that a module belongs to, or ``toolkit`` itself."""
    return ".".join(module.split(".")[:2])


def complaint(module: str, item: Import) -> str | None:
    """Describe what is wrong with an import; None if it is allowed."""
    if item.target.split(".")[0] != "toolkit" or module == "toolkit":
        return None
    where = f"{module}, line {item.line}: imports {item.target}"
    if item.target == "toolkit":
        facade = set(item.names) - {"__version__"}
        return f"{where}: take {', '.join(sorted(facade))} from where it is defined" if facade else None
    here, there = part_of(module), part_of(item.target)
    if here == there:
        return None
    if LAYERS[there] > LAYERS[here]:
        return f"{where}: upward, from layer {LAYERS[here]} to {LAYERS[there]}"
    if LAYERS[there] == LAYERS[here] and LAYERS[here] in SEPARATE:
        return f"{where}: parts of layer {LAYERS[here]} do not import each other"
    return None


def find_cycle(graph: dict[str, set[str]]) -> list[str] | None:
    """Return a cycle of a directed graph, with the first node repeated at the end, or None."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str] | None:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return None
        for target in sorted(graph.get(node, ())):
            cycle = walk(target, [*path, node])
            if cycle:
                return cycle
        done.add(node)
        return None

    return next((cycle for cycle in (walk(node, []) for node in sorted(graph)) if cycle), None)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def imports_of_module(module: str) -> list[Import]:
    path = MODULES[module]
    return list(imports_of(module, parsed(path), path.name == "__init__.py"))


def import_graph() -> dict[str, set[str]]:
    """All imports between the toolkit's modules, including those in functions and for type checkers."""
    return {
        module: {item.target for item in imports_of_module(module) if item.target in MODULES} - {"toolkit"}
        for module in MODULES
        if module != "toolkit"
    }


# The code on disk


def test_every_part_has_a_layer_and_every_row_a_part() -> None:
    assert {part_of(module) for module in MODULES} - {"toolkit"} == set(LAYERS)


def test_imports_point_downward() -> None:
    complaints = [complaint(module, item) for module in MODULES for item in imports_of_module(module)]
    assert not [words for words in complaints if words]


def test_no_import_cycles_of_any_kind() -> None:
    assert find_cycle(import_graph()) is None


@pytest.mark.parametrize("name", ONE_HOME)
def test_only_one_module_uses_it(name: str) -> None:
    users = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(parsed(path))
        if name in (getattr(node, "id", None), getattr(node, "attr", None), getattr(node, "name", None))
        or (isinstance(node, ast.Constant) and node.value == name)
    }
    assert users == {ONE_HOME[name]}


def test_light_modules_stay_light() -> None:
    found = []
    for module in MODULES:
        part = part_of(module)
        light = {part, module} & LIGHT_PARTS or LAYERS.get(part) in LIGHT_LAYERS
        refused = NEVER_AT_THE_TOP | (HEAVY if light else set())
        top = [item for item in imports_of_module(module) if not (item.deferred or item.typing_only)]
        found += [f"{module}, line {item.line}: {item.target}" for item in top if item.target.split(".")[0] in refused]
    assert not found


def test_house_rules() -> None:
    found = [f"{path}, {words}" for path in [*MODULES.values(), *TOOLS] for words in offences(parsed(path))]
    assert not found


def test_no_module_decides_by_task_name() -> None:
    others = {module: path for module, path in MODULES.items() if part_of(module) != "toolkit.tasks"}
    found = [f"{path}, {words}" for path in others.values() for words in task_decisions(parsed(path))]
    assert not found, "say it as a fact or a method of toolkit.tasks.Task"


def test_files_stay_small() -> None:
    most = {**dict.fromkeys(MODULES.values(), MOST_LINES), **dict.fromkeys(TOOLS, MOST_TOOL_LINES)}
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in most}
    assert not [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > most[path]]


def offences(tree: ast.AST) -> list[str]:
    """Star imports, ``eval``/``exec`` of strings, and bare ``except:``."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            found.append(f"line {node.lineno}: star import from {node.module}")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec"):
            found.append(f"line {node.lineno}: {node.func.id}()")
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
    return found


def test_importing_the_toolkit_does_not_import_paddle(repo: Path) -> None:
    code = (
        "import sys, toolkit, toolkit.config, toolkit.commands.app;"
        "sys.exit('paddle' in sys.modules or 'cv2' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("tool", TOOLS, ids=lambda path: path.name)
def test_help_does_not_import_paddle(tool: Path, tmp_path: Path) -> None:
    for name in ("paddle", "cv2"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} was imported')", encoding="utf-8")
    code = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); tool = sys.argv[2]; sys.argv = [tool, '--help'];"
        "runpy.run_path(tool, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(tool)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "usage:" in result.stdout


# The checks themselves


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("toolkit.core.errors", "import toolkit.config", "upward, from layer 0 to 1"),
        ("toolkit.data.batches", "from toolkit.engine import Trainer", "upward, from layer 2 to 3"),
        ("toolkit.transfer.plan", "def f():\n    from toolkit.zoo import get_spec", "do not import each other"),
        ("toolkit.engine.trainer", "from toolkit import Predictor", "take Predictor from where it is defined"),
        ("toolkit.config", "if TYPE_CHECKING:\n    from toolkit.zoo import X", "upward, from layer 1 to 2"),
        ("toolkit.config.load", "from ..zoo import X", "upward, from layer 1 to 2"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str, found: str) -> None:
    complaints = [complaint(module, item) for item in imports_of(module, ast.parse(source))]
    assert len(complaints) == 1
    assert found in str(complaints[0])


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("toolkit.core.runtime", "import toolkit"),
        ("toolkit.core.runtime", "from toolkit import __version__"),
        ("toolkit.config.load", "from .schema import Config"),
        ("toolkit.engine.job", "from toolkit.zoo import create_network"),
        ("toolkit.engine.job", "from toolkit.core import errors"),
        ("toolkit.zoo.network", "import numpy as np"),
        ("toolkit", "from toolkit.deploy import Predictor"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    assert [complaint(module, item) for item in imports_of(module, ast.parse(source))] == [None]


def test_cycles_are_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_cycle({"a": {"a"}}) == ["a", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


def test_deferred_and_typing_imports_are_told_apart() -> None:
    source = "import a\nif TYPE_CHECKING:\n    import b\nelse:\n    import c\ndef f():\n    import d"
    facts = {item.target: (item.deferred, item.typing_only) for item in imports_of("toolkit.x", ast.parse(source))}
    assert facts == {"a": (False, False), "b": (False, True), "c": (False, False), "d": (True, False)}


@pytest.mark.parametrize(
    "source",
    [
        "if task == 'x': pass",
        "a = 1 if config.task != other else 2",
        "kind == 'regression'",
        "name in ('multilabel', 'x')",
        "(job.task, width) == ('regression', 1)",
        "task is MULTILABEL",
        "objective.task.name == given",
        "TASKS[name].outputs == 'target'",
        "images.labels.ndim == 1",
        "labels.ndim != 2",
        "isinstance(TASKS[name], Regression)",
        "match name:\n    case 'classification': pass",
    ],
)
def test_decisions_by_task_are_found(source: str) -> None:
    assert len(task_decisions(ast.parse(source))) == 1


@pytest.mark.parametrize("source", ["task in readers", "task is None", "task.labels_are_rows", "pixels.ndim == 2"])
def test_facts_and_lookups_are_not_decisions(source: str) -> None:
    assert not task_decisions(ast.parse(source))


@pytest.mark.parametrize(
    "source", ["from os import *", "eval('1')", "exec('1')", "try:\n    pass\nexcept:\n    pass"], ids=lambda s: s[:12]
)
def test_offences_are_found(source: str) -> None:
    assert len(offences(ast.parse(source))) == 1


def test_eval_mode_of_a_network_is_allowed() -> None:
    assert not offences(ast.parse("network.eval()"))
