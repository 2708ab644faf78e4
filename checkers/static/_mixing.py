"""What an integer key is mixed from: the arithmetic between a table and the tokens that address it."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from checkers.static._trace import At, Tracer
from checkers.static._words import words
from checkers.static._writes import Part

_CASTS = words(
    "astype to long int int64 int32 uint64 uint32 intp reshape view flatten ravel unsqueeze squeeze "
    "contiguous clone cpu cuda numpy expand item copy detach type asarray ascontiguousarray "
    "as_tensor from_numpy"
)
_MIXERS = {
    "bitwise_xor": "xor",
    "logical_xor": "xor",
    "bitwise_and": "mask",
    "remainder": "mask",
    "fmod": "mask",
    "mod": "mask",
    "multiply": "times",
    "mul": "times",
    "hash": "hash",
    "crc32": "hash",
    "adler32": "hash",
    "blake2b": "hash",
    "md5": "hash",
    "sha1": "hash",
    "sha256": "hash",
    "xxh64": "hash",
    "xxh32": "hash",
    "bitwise_xor_": "xor",
}
_OPS: dict[type, str] = {
    ast.BitXor: "xor",
    ast.Mult: "times",
    ast.LShift: "times",
    ast.Mod: "mask",
    ast.BitAnd: "mask",
}
_MOST = 400
_SELECTIONS = 2  # keys selected from precomputed keys, so many times


@dataclass(frozen=True, slots=True)
class Mix:
    """The operations of a key and the values that go in.

    ``folded`` are the leaves below an XOR, a mask or a hash: what cannot be told apart any more. In
    ``(hash(context) % rows) * width + target`` the target is not folded: it has a column of its own.
    """

    ops: frozenset[str]
    leaves: tuple[At, ...]
    folded: tuple[At, ...] = ()

    @property
    def hashed(self) -> bool:
        """Whether different inputs can collide: XOR of products, or products under a mask or modulus."""
        return "hash" in self.ops or ("times" in self.ops and ("xor" in self.ops or "mask" in self.ops))


_NOTHING = Mix(frozenset(), ())


def mix_of(tracer: Tracer, key: At, depth: int = 0) -> Mix:
    """Take a key apart down to what is not arithmetic. ``depth`` counts selections looked into."""
    ops: set[str] = set()
    leaves: dict[At, bool] = {}
    seen: set[tuple[At, bool]] = set()
    stack = [(key, False)]
    while stack:
        at, folded = stack.pop()
        if (at, folded) in seen:
            continue
        seen.add((at, folded))
        if len(seen) > _MOST:
            return _NOTHING
        own: set[str] = set()
        inner = _inside(tracer, at, own, depth)
        ops |= own
        if inner is None:
            leaves[at] = leaves.get(at, False) or folded
        else:
            folds = folded or bool(own & {"xor", "mask", "hash"})
            stack += [(part, folds) for part in inner]
    return Mix(frozenset(ops), tuple(leaves), tuple(at for at, folded in leaves.items() if folded))


def _inside(tracer: Tracer, at: At, ops: set[str], depth: int) -> list[At] | None:
    """The parts of a piece of key arithmetic, None for a leaf."""
    node = at.node
    if isinstance(node, ast.BinOp):
        ops.add(_OPS.get(type(node.op), "plain"))
        return [At(node.left, at.calls), At(node.right, at.calls)]
    if isinstance(node, ast.UnaryOp):
        return [At(node.operand, at.calls)]
    if isinstance(node, ast.IfExp):
        return [At(node.body, at.calls), At(node.orelse, at.calls)]
    if isinstance(node, ast.Tuple):
        return [At(e, at.calls) for e in node.elts]
    if isinstance(node, ast.Call):
        return _inside_call(tracer, at, node, ops)
    if isinstance(node, Part):
        return tracer.behind(at, choices=False) or None
    if isinstance(node, (ast.Name, ast.Attribute)):
        _augmented(tracer, node, ops)
        return tracer.behind(at, choices=False) or None
    if isinstance(node, ast.Subscript):
        return _inside_subscript(tracer, at, node, depth)
    return None


def _inside_call(tracer: Tracer, at: At, node: ast.Call, ops: set[str]) -> list[At] | None:
    if tracer.facts.callees(node):
        return tracer.behind(at, choices=False)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in _MIXERS:
        ops.add(_MIXERS[name])
        parts = [At(a, at.calls) for a in node.args]
        method = isinstance(node.func, ast.Attribute) and len(node.args) == 1
        return [*parts, At(node.func.value, at.calls)] if method else parts  # type: ignore[attr-defined]
    if name in _CASTS:
        receiver = isinstance(node.func, ast.Attribute) and not tracer.facts.dotted(node.func)
        if receiver:
            return [At(node.func.value, at.calls)]  # type: ignore[attr-defined]
        return [At(a, at.calls) for a in node.args[:1]] or None
    return None


def _inside_subscript(tracer: Tracer, at: At, node: ast.Subscript, depth: int) -> list[At] | None:
    """A selection of precomputed keys is looked into; a selection of tokens is a leaf."""
    base = At(node.value, at.calls)
    if isinstance(node.value, ast.Subscript):
        return [base]
    if depth < _SELECTIONS and isinstance(node.value, (ast.Name, ast.Attribute)):
        return [base] if mix_of(tracer, base, depth + 1).hashed else None
    return None


def _augmented(tracer: Tracer, node: ast.AST, ops: set[str]) -> None:
    """Operations of ``name ^= ...`` and its like among the definitions of a name."""
    if not isinstance(node, ast.Name):
        return
    for binding in tracer.facts.flow.bindings(node):
        if isinstance(binding.node, ast.AugAssign):
            ops.add(_OPS.get(type(binding.node.op), "plain"))
