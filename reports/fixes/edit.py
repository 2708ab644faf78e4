"""What codemods share: the edited text with a sentence about it, and finding statements by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from checkers.finding import Finding


@dataclass(frozen=True, slots=True)
class Edit:
    """The whole corrected file, and what was done in one sentence."""

    text: str
    description: str


Codemod = Callable[[str, Finding], Edit | None]


def parse(source: str) -> MetadataWrapper | None:
    """Parse a file with positions, or None where LibCST cannot."""
    try:
        return MetadataWrapper(cst.parse_module(source))
    except (cst.ParserSyntaxError, RecursionError):
        return None


@dataclass(frozen=True)
class Block:
    """A list of sibling statements, with the lines that each of them spans."""

    node: cst.IndentedBlock | cst.Module
    spans: tuple[tuple[int, int], ...]

    def index(self, line: int) -> int | None:
        """Which statement spans a line."""
        return next((n for n, (first, last) in enumerate(self.spans) if first <= line <= last), None)


class _Blocks(cst.CSTVisitor):
    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Block] = []

    def visit_IndentedBlock(self, node: cst.IndentedBlock) -> None:  # noqa: N802 - LibCST's name
        spans = tuple(self._lines(statement) for statement in node.body)
        self.found.append(Block(node, spans))

    def _lines(self, node: cst.CSTNode) -> tuple[int, int]:
        place = self.get_metadata(PositionProvider, node)
        assert isinstance(place, CodeRange)
        return place.start.line, place.end.line


def blocks(wrapper: MetadataWrapper, *lines: int) -> list[Block]:
    """Every block in which each line falls into a statement of its own, outermost first."""
    visitor = _Blocks()
    wrapper.visit(visitor)
    return [b for b in visitor.found if _separates(b, lines)]


def _separates(block: Block, lines: tuple[int, ...]) -> bool:
    places = [block.index(line) for line in lines]
    return None not in places and len(set(places)) == len(places)


def names(node: cst.CSTNode) -> tuple[set[str], set[str]]:
    """The names that a piece of code reads and those that it assigns, roughly."""
    visitor = _Names()
    node.visit(visitor)
    return visitor.read, visitor.written


class _Names(cst.CSTVisitor):
    def __init__(self) -> None:
        super().__init__()
        self.read: set[str] = set()
        self.written: set[str] = set()

    def visit_AssignTarget(self, node: cst.AssignTarget) -> None:  # noqa: N802
        self.written |= _plain_names(node.target)

    def visit_AugAssign(self, node: cst.AugAssign) -> None:  # noqa: N802
        self.written |= _plain_names(node.target)

    def visit_For(self, node: cst.For) -> None:  # noqa: N802
        self.written |= _plain_names(node.target)

    def visit_Name(self, node: cst.Name) -> None:  # noqa: N802
        self.read.add(node.value)


def _plain_names(target: cst.CSTNode) -> set[str]:
    if isinstance(target, cst.Name):
        return {target.value}
    if isinstance(target, cst.Tuple | cst.List):
        return {name for element in target.elements for name in _plain_names(element.value)}
    return set()


_UPDATE = m.Call(func=m.Attribute(attr=m.Name("step") | m.Name("backward")))
_CALL = m.Call(func=m.Name())


def updates(node: cst.CSTNode, module: cst.Module) -> bool:
    """Tell whether code steps an optimizer, itself or in a function of the same file that it calls."""
    if m.findall(node, _UPDATE):
        return True
    called = {
        cst.ensure_type(cst.ensure_type(c, cst.Call).func, cst.Name).value for c in m.findall(node, _CALL)
    }
    functions = [f for f in m.findall(module, m.FunctionDef()) if isinstance(f, cst.FunctionDef)]
    return any(f.name.value in called and m.findall(f, _UPDATE) for f in functions)


def with_body(wrapper: MetadataWrapper, block: Block, body: list[cst.BaseStatement]) -> str:
    """The file with the statements of one block replaced."""
    assert isinstance(block.node, cst.IndentedBlock)
    changed = wrapper.module.deep_replace(block.node, block.node.with_changes(body=body))
    assert isinstance(changed, cst.Module)
    return changed.code
