"""Subscripts and slices of sequences, mappings, tensors and library objects."""

from __future__ import annotations

import ast
from typing import Any

from checkers.facts.attributes import Attributes
from checkers.facts.folding import Environment, all_items, index_bits, mapping_item, with_bits
from checkers.facts.values import (
    LOGP,
    NOTHING,
    RAW,
    VAL,
    Cell,
    Class,
    Function,
    Instance,
    Library,
    Mapping,
    Sequence,
    Value,
    flat,
    merge,
)


class Items(Attributes):
    """What ``base[index]`` stands for."""

    def _subscript(self, node: ast.Subscript) -> Value:
        base = self.eval(node.value)
        index = self.eval(node.slice)
        if isinstance(node.slice, ast.Tuple) and flat(base) & LOGP and self._picks(node.slice):
            return self.score(node, flat(base) | index_bits(index), index_bits(index))
        if not base.refs:
            return self._plain_item(base, index, node)
        found: Value | None = None
        for ref in base.refs:
            found = merge(found, self._item(base, ref, index, node))
        return with_bits(found or NOTHING, base.bits & ~RAW)

    def _picks(self, index: ast.Tuple) -> bool:
        """Whether the last place of an index is a validation token: ``logp[rows, targets]``.

        It may be one as a number; what a distribution itself ranks first is none.
        """
        last = self.values.get(index.elts[-1])
        if last is None or not flat(last) & VAL:
            return False
        return bool(flat(last) & RAW) or not (flat(last) & LOGP or isinstance(index.elts[-1], ast.Slice))

    def _plain_item(self, base: Value, index: Value, node: ast.Subscript) -> Value:
        if base.known and index.known and isinstance(base.const, (str, tuple, bytes)):
            try:
                return Value(base.const[index.const], base.bits)
            except (TypeError, IndexError, ValueError):
                pass
        return Value(bits=base.bits | (index_bits(index) & ~RAW) | self._span(node.slice, base.bits))

    def _item(self, base: Value, ref: Any, index: Value, node: ast.Subscript) -> Value:
        if isinstance(ref, Sequence):
            return self._sequence_item(ref, index, node)
        if isinstance(ref, Environment) and isinstance(index.const, str) and index.const not in ref.items:
            return self.external("os.getenv", None, [index], {}, node)
        if isinstance(ref, Mapping):
            return mapping_item(ref, index)
        if isinstance(ref, (Function, Class)):
            return Value(refs=(ref,))
        if isinstance(ref, Library):
            return self._library_item(ref, index, node)
        if isinstance(ref, Instance) and ref.cls and (found := ref.cls.find("__getitem__")):
            return self.call(self._bind(found[0], found[1], Value(refs=(ref,))), [index], {}, node)
        bits = (
            base.bits | ref.state | (index_bits(index) & ~RAW) | self._span(node.slice, base.bits | ref.state)
        )
        return Value(bits=bits, refs=(ref,) if isinstance(ref, (Cell, Instance)) else ())

    def _library_item(self, ref: Library, index: Value, node: ast.Subscript) -> Value:
        if ref.dotted == "os.environ" and isinstance(index.const, str):
            return self.external("os.getenv", None, [index], {}, node)
        return Value(refs=(ref,))

    def _sequence_item(self, ref: Sequence, index: Value, node: ast.Subscript) -> Value:
        if (
            ref.items is not None
            and isinstance(index.const, int)
            and -len(ref.items) <= index.const < len(ref.items)
        ):
            return ref.items[index.const]
        whole = all_items(ref)
        if isinstance(node.slice, ast.Slice):
            bits = index_bits(index) & ~RAW
            if ref.items is not None and isinstance(index.const, slice):
                return Value(bits=bits, refs=(Sequence(ref.items[index.const], ref.rest),))
            return Value(bits=bits, refs=(Sequence(None, with_bits(whole, bits)),))
        return with_bits(whole, index_bits(index) & ~RAW)

    def _span(self, index: ast.AST, base: int | None = None) -> int:
        """Bits for ``[a:]`` and ``[:b]``: two slices cut at the same value do not overlap.

        Only slices of tokens and of scores matter (``base`` holds the sources of what is sliced).
        """
        if base is not None and not base & (RAW | self.scores):
            return 0
        bits = 0
        for part in index.elts if isinstance(index, ast.Tuple) else [index]:
            if isinstance(part, ast.Slice):
                bits |= self._edge("from", part.lower) | self._edge("upto", part.upper)
        return bits

    def _edge(self, side: str, edge: ast.AST | None) -> int:
        value = self.values.get(edge) if edge is not None else None
        if value is None or value.const in (0, 1, -1, None):
            return 0
        if value.known:
            return self.bits.bit((side, value.const))
        self.kept.append(value)
        return self.bits.bit((side, id(value)))

    def _slice(self, node: ast.Slice) -> Value:
        parts = [self.eval(p) if p is not None else None for p in (node.lower, node.upper, node.step)]
        bits = 0
        for part in parts:
            bits |= flat(part) if part else 0
        if all(p is None or (p.known and isinstance(p.const, (int, type(None)))) for p in parts):
            return Value(slice(*[p.const if p else None for p in parts]), bits)
        return Value(bits=bits)
