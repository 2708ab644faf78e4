"""Evaluation of expressions to abstract values."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checkers.facts.events import Did
from checkers.facts.folding import (
    Environment,
    Gap,
    absorb,
    all_items,
    as_text,
    compared,
    folded,
    is_environment,
    joined_lists,
    path_bits,
    store,
    truthy,
)
from checkers.facts.items import Items
from checkers.facts.state import OutOfStepsError
from checkers.facts.values import (
    NOTHING,
    RAW,
    SHIPPED,
    TOKENS,
    UNKNOWN,
    VAL,
    Mapping,
    Obj,
    Sequence,
    Value,
    Ways,
    flat,
    merge,
)


class Expressions(Items):
    """The evaluator. ``values`` keeps the last value of each interesting node."""

    def eval(self, node: ast.AST) -> Value:
        """Evaluate an expression and remember its value."""
        self.steps += 1
        if self.steps > self.limit:
            raise OutOfStepsError
        kind = node.__class__
        if kind is _NAME:  # two of five; most name something of the running frame
            name: str = node.id  # type: ignore[attr-defined]
            value = self.frames[-1].env.names.get(name) or self.lookup(name)
        elif kind is _CONSTANT:  # one of five
            value = self.values.get(node) or _constant(node)
        elif (handler := HANDLERS.get(kind)) is not None:
            value = handler(self, node)
        else:
            return self._union(node)
        self.values[node] = value
        return value

    def _union(self, node: ast.AST) -> Value:
        """The union of everything below a node whose kind has no handler."""
        bits = 0
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                bits |= flat(self.eval(child))
        return Value(bits=bits & ~RAW)

    def _attribute(self, node: ast.Attribute) -> Value:
        return self.attribute(self.eval(node.value), node.attr)

    def _binary(self, node: ast.BinOp) -> Value:
        left, right = self.eval(node.left), self.eval(node.right)
        return self.binary(left, right, type(node.op))

    def binary(self, left: Value, right: Value, kind: type) -> Value:
        """``left op right``: folded when both are known, else the union of their sources."""
        bits = flat(left) if left.refs else left.bits
        bits = (bits | (flat(right) if right.refs else right.bits)) & ~RAW
        if left.const is not UNKNOWN and right.const is not UNKNOWN:
            return Value(folded(left, right, kind), bits)
        if kind is ast.Add and (lists := joined_lists(left, right)):
            return Value(bits=left.bits | right.bits, refs=(lists,))
        if kind is ast.Mult and left.refs and isinstance(left.refs[0], Sequence):
            return Value(bits=bits, refs=(Sequence(None, all_items(left.refs[0])),))
        text = (
            (*(left.text or as_text(left)), *(right.text or as_text(right)))
            if left.text or right.text
            else ()
        )
        return Value(bits=bits, text=text)

    def _unary(self, node: ast.UnaryOp) -> Value:
        value = self.eval(node.operand)
        if isinstance(node.op, ast.Not):
            truth = truthy(value)
            return Value(UNKNOWN if truth is None else not truth, flat(value) & ~RAW)
        if value.known and isinstance(value.const, (int, float)):
            if isinstance(node.op, ast.USub):
                return Value(-value.const, value.bits)
            if isinstance(node.op, ast.UAdd):
                return value
        return Value(bits=flat(value) & ~RAW)

    def _compare(self, node: ast.Compare) -> Value:
        left = self.eval(node.left)
        before = bits = flat(left)
        known = result = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.eval(comparator)
            after = flat(right)
            if (before | after) & SHIPPED and isinstance(op, (ast.Eq, ast.NotEq)):
                self._stored_answer(node, before, after)
            bits |= after
            answer = compared(type(op), left, right)
            known = known and answer is not None
            result = result and bool(answer)
            left, before = right, after
        return Value(result if known else UNKNOWN, bits & ~RAW)

    def _stored_answer(self, node: ast.AST, left: int, right: int) -> None:
        """Validation tokens against what a file of the submission holds: a stored answer."""
        for tokens, stored in ((left, right), (right, left)):
            file = not stored & VAL and not tokens & SHIPPED
            unpacked = stored & TOKENS and not stored & RAW and tokens & RAW  # by the run that packed them
            if tokens & VAL and stored & SHIPPED and (file or unpacked):
                self.emit(Did.MATCH, node, left | right)

    def _boolean(self, node: ast.BoolOp) -> Value:
        stop_at = isinstance(node.op, ast.Or)
        bits, value, unsure = 0, NOTHING, False
        maybe: tuple[Obj, ...] = ()  # ``given or default`` may be either
        for operand in node.values:
            value = self.eval(operand)
            bits |= flat(value)
            truth = truthy(value)
            self.note_way(operand, truth, bits)
            if truth is stop_at:
                return (
                    Value(value.const, bits & ~RAW, value.refs)
                    if not unsure
                    else self._after_doubt(truth, bits)
                )
            unsure = unsure or truth is None
            maybe += value.refs if stop_at and truth is None else ()
        return (
            Value(bits=bits & ~RAW, refs=tuple(dict.fromkeys((*maybe, *value.refs))))
            if unsure
            else Value(value.const, bits & ~RAW, value.refs)
        )

    @staticmethod
    def _after_doubt(truth: bool, bits: int) -> Value:
        """``unknown and False`` is false whatever the unknown is; ``unknown or True`` is true."""
        return Value(truth, bits & ~RAW)

    def note_way(self, node: ast.AST, truth: bool | None, bits: int) -> None:
        """Remember how a test came out."""
        ways = self.ways.get(node)
        if ways is None:
            ways = self.ways[node] = Ways()
        ways.bits |= bits
        if truth is None:
            ways.open += 1
        elif truth:
            ways.true += 1
        else:
            ways.false += 1

    def _conditional(self, node: ast.IfExp) -> Value:
        test = self.eval(node.test)
        truth = self.forced.get(node.test, truthy(test))
        self.note_way(node.test, truth, flat(test))
        if truth is None:
            return merge(self.eval(node.body), self.eval(node.orelse))
        return self.eval(node.body if truth else node.orelse)

    def _list(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        items: list[Value] = []
        for element in node.elts:
            if isinstance(element, ast.Starred):
                items += self.iterate(self.eval(element.value))[0]
            else:
                items.append(self.eval(element))
        if (
            isinstance(node, ast.Tuple)
            and items
            and all(i.const is not UNKNOWN and not i.refs for i in items)
        ):
            bits = 0
            for item in items:
                bits |= item.bits
            return Value(tuple([i.const for i in items]), bits, (Sequence(items),))
        return Value(refs=(Sequence(items, birth=self.loops),))

    def iterate(self, value: Value) -> tuple[list[Value], bool]:
        """The items a loop over a value sees, and whether these are all of them, in order."""
        raise NotImplementedError

    def _dict(self, node: ast.Dict) -> Value:
        pairs = [
            (self.eval(k) if k else None, self.eval(v)) for k, v in zip(node.keys, node.values, strict=True)
        ]
        spread = any(key is None and is_environment(item) for key, item in pairs)
        mapping = Environment(self.loops) if spread else Mapping(self.loops)
        for key, item in pairs:
            if key is None:
                absorb(mapping, item)
            else:
                store(mapping, key, item)
        return Value(refs=(mapping,))

    def _joined(self, node: ast.JoinedStr) -> Value:
        bits, text, plain = 0, [], True
        for part in node.values:
            if isinstance(part, ast.Constant):
                text.append(part.value)
                bits |= path_bits(part.value)
                continue
            value = self.eval(part.value) if isinstance(part, ast.FormattedValue) else self.eval(part)
            bits |= flat(value)
            formatted = isinstance(part, ast.FormattedValue) and part.format_spec is not None
            plain = plain and value.known and not formatted and isinstance(value.const, (str, int))
            text.append(value.const if value.known and not formatted else flat(value))
            if not value.known or formatted:
                text[-1] = Gap(flat(value))
        if plain:
            joined = "".join(str(t) for t in text)
            return Value(joined, bits & ~RAW | path_bits(joined))
        return Value(bits=bits & ~RAW, text=tuple(str(t) if not isinstance(t, Gap) else t for t in text))

    def _lambda(self, node: ast.Lambda) -> Value:
        return self.make_function(node)

    def make_function(self, node: Any) -> Value:
        """A function value closing over the running frame."""
        raise NotImplementedError

    def _named(self, node: ast.NamedExpr) -> Value:
        value = self.eval(node.value)
        self.assign(node.target, value)
        return value

    def assign(self, target: ast.AST, value: Value) -> None:
        """Bind a target (``statements``)."""
        raise NotImplementedError

    def _starred(self, node: ast.Starred) -> Value:
        return self.eval(node.value)

    def _await(self, node: ast.Await) -> Value:
        return self.eval(node.value)

    def _yield(self, node: ast.Yield) -> Value:
        frame = self.frames[-1]
        value = self.eval(node.value) if node.value else NOTHING
        frame.yielded.append(value)
        if frame.at_yield is not None:
            frame.at_yield(value)
        return NOTHING

    def _yield_from(self, node: ast.YieldFrom) -> Value:
        self.frames[-1].yielded += self.iterate(self.eval(node.value))[0]
        return NOTHING


def _constant(node: Any) -> Value:
    return Value(node.value, path_bits(node.value))


_NAME, _CONSTANT = ast.Name, ast.Constant
HANDLERS: dict[type, Callable[..., Value]] = {
    ast.Attribute: Expressions._attribute,
    ast.Subscript: Expressions._subscript,
    ast.Slice: Expressions._slice,
    ast.BinOp: Expressions._binary,
    ast.UnaryOp: Expressions._unary,
    ast.Compare: Expressions._compare,
    ast.BoolOp: Expressions._boolean,
    ast.IfExp: Expressions._conditional,
    ast.List: Expressions._list,
    ast.Tuple: Expressions._list,
    ast.Set: Expressions._list,
    ast.Dict: Expressions._dict,
    ast.JoinedStr: Expressions._joined,
    ast.Lambda: Expressions._lambda,
    ast.NamedExpr: Expressions._named,
    ast.Starred: Expressions._starred,
    ast.Await: Expressions._await,
    ast.Yield: Expressions._yield,
    ast.YieldFrom: Expressions._yield_from,
}  # calls and comprehensions are added where they are run
