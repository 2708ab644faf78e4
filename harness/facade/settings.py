"""Settings of compilers that nothing here compiles with: they can be set, and read as torch sets them.

Scripts raise limits (``max(config.cache_size_limit, 64)``), so a setting has to be the number it is. It is
read from the source of torch: importing the packages takes seconds.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from harness.facade.cuda import Context
from harness.facade.patching import lenient, module


def configure(package: str, **others: Any) -> None:
    """Make a module of the settings of a package of torch, with ``others`` beside those it has literally."""
    lenient(module(f"torch.{package}.config", patch=Context, **others), lambda: defaults(package))


@functools.cache
def defaults(package: str) -> dict[str, Any]:
    """The settings that ``torch.<package>.config`` gives a literal value; empty for a package without any."""
    source = Path(torch.__file__).parent / package / "config.py"
    found: dict[str, Any] = {}
    if source.is_file():
        for name, value in _assigned(ast.parse(source.read_bytes())):
            try:
                found[name] = _value(value, found)
            except (ValueError, KeyError):
                continue  # computed from the machine or the environment
    return found


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        if len(targets) == 1 and isinstance(targets[0], ast.Name) and value is not None:
            yield targets[0].id, value


def _value(node: ast.expr, found: dict[str, Any]) -> Any:
    """A literal, the default of a described setting, or the setting that one is another name of.

    Raises:
        ValueError: it is none of these.
        KeyError: the other setting is not known.
    """
    given = {k.arg: k.value for k in node.keywords} if isinstance(node, ast.Call) else {}
    if "alias" in given:
        return found[ast.literal_eval(given["alias"]).rpartition(".")[2]]
    return ast.literal_eval(given.get("default", node))
