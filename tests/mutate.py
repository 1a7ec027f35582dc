"""Run mutmut with properties among what it breaks: it leaves them out, and half of what the guard decides is one."""

from collections.abc import Iterable
from typing import Any

import libcst as cst
from mutmut.__main__ import cli
from mutmut.mutation import file_mutation

writing: Any = file_mutation
visiting: Any = file_mutation.MutationVisitor
arrange = writing.function_trampoline_arrangement
skips = visiting._skip_node_and_children


def is_property(node: cst.CSTNode) -> bool:
    """Whether a function is a property and nothing else."""
    if not isinstance(node, cst.FunctionDef) or len(node.decorators) != 1:
        return False
    decorator = node.decorators[0].decorator
    return isinstance(decorator, cst.Name) and decorator.value in ("property", "cached_property")


def arrange_inside(function: cst.FunctionDef, mutants: Iterable[Any], class_name: str | None) -> Any:
    """Choose between original and mutant inside the property; the copies are plain functions."""
    if not is_property(function):
        return arrange(function, mutants, class_name)
    declared, methods, assigned, names = arrange(function.with_changes(decorators=()), mutants, class_name)
    chooser = methods[0].with_changes(decorators=(*function.decorators, *methods[0].decorators))
    return declared, [chooser, *methods[1:]], assigned, names


def skips_all_but_properties(visitor: Any, node: cst.CSTNode) -> Any:
    """Whether a node is left as it is."""
    return not is_property(node) and skips(visitor, node)


if __name__ == "__main__":
    writing.function_trampoline_arrangement = arrange_inside
    visiting._skip_node_and_children = skips_all_but_properties
    cli()
