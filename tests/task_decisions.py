"""Finds decisions by the name of a task in source text."""

from __future__ import annotations

import ast

from toolkit.tasks import TASKS

TASK_WORDS = {word for task in TASKS.values() for word in (task.name, task.outputs, task.loss, task.activation)} - {
    "none"
}
"""What a decision by task compares with, in whatever disguise."""


def task_decisions(tree: ast.AST) -> list[str]:
    """Comparisons of a task, of a word that only tasks have, or of the number of axes of labels."""
    found = []
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            by_name = all(isinstance(operator, (ast.In, ast.NotIn)) for operator in node.ops)
            against_none = any(isinstance(side, ast.Constant) and side.value is None for side in sides)
            named = not (by_name or against_none) and any(map(_is_task, sides))
        elif isinstance(node, ast.MatchValue):
            sides, named = [node.value], False
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("isinstance", "type"):
            named = bool(node.args) and _is_task(node.args[0])
        else:
            continue
        words = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
        axes = any(
            isinstance(side, ast.Attribute) and side.attr == "ndim" and _ends(side.value, "labels") for side in sides
        )
        if named or axes or words & TASK_WORDS:
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def _is_task(node: ast.AST) -> bool:
    """``task``, ``anything.task``, ``task.name``, ``TASKS[...]``."""
    if isinstance(node, ast.Attribute) and node.attr == "name":
        return _is_task(node.value)
    return _ends(node, "task") or (isinstance(node, ast.Subscript) and _ends(node.value, "TASKS"))


def _ends(node: ast.AST, name: str) -> bool:
    return getattr(node, "id", getattr(node, "attr", None)) == name
