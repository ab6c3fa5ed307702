"""A network for VisualDL's graph page: one box per stage."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit.core.files import clear_os_errors, write_text
from toolkit.core.stages import StageInfo

GRAPH_FILE = "vdlgraph.run.log"
_VERSION = "1.0.0"
_ROOT = "/"


def write_graph(folder: Path, graph: dict[str, Any]) -> None:
    """Write a graph beside the record of a run, atomically.

    Raises:
        ToolkitError: The folder cannot be written.
    """
    path = folder / GRAPH_FILE
    with clear_os_errors(str(path)):
        write_text(path, json.dumps(graph, ensure_ascii=False))


def stage_graph(
    stages: Sequence[StageInfo], image: Sequence[int], head: str, outputs: int, head_parameters: int, frozen: int
) -> dict[str, Any]:
    """The chain from the image to the outputs, in the format of VisualDL's ``LogWriter.add_graph``.

    ``add_graph`` itself traces operators, which Paddle 3 can only do with ``FLAGS_enable_pir_api=0`` from the start of
    the process, and it changes the network on the way. Users choose among stages, and those are known.

    Args:
        stages: The stages in forward order.
        image: Shape of one image, ``(C, H, W)``.
        head: Short description of the head.
        outputs: Number of outputs.
        head_parameters: Number of weights in the head.
        frozen: Number of stages that never move in this run.
    """
    boxes = [("image", "image", tuple(image), 0, "")]
    for count, stage in enumerate(stages, 1):
        boxes.append((stage.name, "stage", stage.shape, stage.parameters, "frozen" if count <= frozen else "trained"))
    boxes.append(("head", head, (outputs,), head_parameters, "trained"))
    names = [f"/{name.replace('/', '_')}" for name, *_ in boxes]
    nodes = [_node(_ROOT, "network", children=names)]
    for place, (name, (_, kind, shape, weights, state)) in enumerate(zip(names, boxes, strict=True)):
        attributes = {"kind": kind, "output shape": _shape(shape), "weights": f"{weights:,}", "in this run": state}
        node = _node(name, f"{_title(boxes[place][0])} ({state})" if state else kind, parent=_ROOT)
        node["attrs"] = {key: value for key, value in attributes.items() if value and (weights or key != "weights")}
        node["attr_types"] = dict.fromkeys(node["attrs"], "STRING")
        before, after = names[place - 1 : place] if place else [], names[place + 1 : place + 2]
        node["input_nodes"] = node["edge_input_nodes"] = before
        node["output_nodes"] = node["edge_output_nodes"] = after
        node["input_vars"], node["output_vars"] = {"X": [f"{b}:out" for b in before]}, {"Out": [f"{name}:out"]}
        nodes.append(node)
    variables = [
        _variable(f"{name}:out", shape, name, names[place + 1 : place + 2])
        for place, (name, (_, _, shape, *_)) in enumerate(zip(names, boxes, strict=True))
    ]
    edges = [
        {"from_node": source, "to_node": target, "vars": [f"{source}:out"], "label": _shape(box[2])}
        for source, target, box in zip(names, names[1:], boxes, strict=False)
    ]
    return {"version": _VERSION, "nodes": nodes, "vars": variables, "edges": edges}


def _node(name: str, kind: str, parent: str = "", children: Sequence[str] = ()) -> dict[str, Any]:
    return {
        "name": name,
        "show_name": name,
        "type": kind,
        "attrs": {},
        "attr_types": {},
        "is_leaf_node": not children,
        "parent_node": parent,
        "children_node": list(children),
        "input_nodes": [],
        "output_nodes": [],
        "edge_input_nodes": [],
        "edge_output_nodes": [],
        "input_vars": {},
        "output_vars": {},
    }


def _variable(name: str, shape: Sequence[int], source: str, readers: Sequence[str]) -> dict[str, Any]:
    return {
        "name": name,
        "shape": [-1, *shape],
        "type": "activation",
        "dtype": "float32",
        "value": [],
        "persistable": False,
        "attrs": {},
        "from_node": source,
        "to_nodes": list(readers),
    }


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _title(name: str) -> str:
    """A stage's name for its box; VisualDL shows only the part after the last dot."""
    return name.replace(".", "\N{MIDDLE DOT}")
