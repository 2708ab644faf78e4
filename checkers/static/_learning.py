"""Every pair of a score that counts and learning that touched the same validation positions first."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import StrEnum

from checkers.facts import Did, Event, Facts
from checkers.facts.order import Apart, Order, together
from checkers.facts.values import RAW, TRAIN, VAL
from checkers.static._grades import graded
from checkers.static._headline import Headline, headline
from checkers.subject import Subject
from harness.logs import LogBook


class Offence(StrEnum):
    """What a pair amounts to. Values are rule slugs."""

    TRAINING = "validation-in-training"
    PREQUANT = "prequant-ttt"
    AFTER = "score-after-update"
    RESCORED = "rescored-validation"
    SLOT = "scored-region-slot"
    CONTEXT = "context-slot"
    CALIBRATION = "calibration-on-validation"


@dataclass(frozen=True, slots=True)
class Pair:
    """A score of the headline number and what it had learned from the same positions."""

    offence: Offence
    learned: Event
    score: Event
    before: Event | None = None  # of a rescoring: the score that came first


@dataclass(frozen=True, slots=True)
class Learning:
    """The outcome of looking at one submission."""

    headline: Headline
    pairs: tuple[Pair, ...]
    order: Order

    def of(self, offence: Offence) -> list[Pair]:
        """The pairs of one kind, one for each place that learned."""
        seen: dict[object, Pair] = {}
        for pair in self.pairs:
            if pair.offence is offence:
                seen.setdefault(pair.learned.node, pair)
        return list(seen.values())


_last: list[tuple[Facts, LogBook, Learning]] = []


def learning(subject: Subject) -> Learning:
    """The pairs of a submission; the checkers that ask one after another share the answer."""
    for facts, logs, known in _last:
        if facts is subject.facts and logs is subject.logs:
            return known
    order = Order(subject.facts)
    top = headline(subject.facts, subject.logs, order)
    found = Learning(top, tuple(_pairs(subject.facts, order, top)), order)
    _last[:] = [(subject.facts, subject.logs, found)]
    return found


def _pairs(facts: Facts, order: Order, top: Headline) -> list[Pair]:
    judge = _Judge(facts, order)
    found: dict[tuple[object, object, object], Pair] = {}
    for score in top.scores:
        told = _told_by_charges(order, score)
        for learned in order.learned(score):
            pair = judge.pair(learned, score) if learned.order not in told else None
            if pair is not None:
                found.setdefault((pair.offence, learned.node, score.node), pair)
    return list(found.values())


def _told_by_charges(order: Order, score: Event) -> set[int]:
    """The learning that charges stored before had from other positions, and a score only from them.

    The logarithm of an array that a loop has filled looks as if it came after every chunk's learning.
    """
    if score.kind is Did.CHARGE:
        return set()
    stored = [e for e in order.scores(score.bits) if e.kind is Did.CHARGE]
    return {e.order for charge in stored for e in order.learned(charge) if order.apart(e, charge)}


class _Judge:
    """Names the offence of one pair."""

    def __init__(self, facts: Facts, order: Order) -> None:
        self.facts = facts
        self.order = order
        updates = facts.of(Did.UPDATE)
        self.trained = any(not e.bits & VAL for e in updates) or any(self.taught(e) & TRAIN for e in updates)
        self.saves = facts.of(Did.SAVE)
        self.charges = [e for e in facts.of(Did.CHARGE) if e.bits & VAL]

    def pair(self, learned: Event, score: Event) -> Pair | None:
        """The offence of a pair, None when there is none."""
        apart = self.order.apart(learned, score)
        if learned.kind is Did.WRITE:
            return Pair(Offence.CALIBRATION, learned, score)
        if not self.taught(learned) & VAL:
            return None
        if learned.kind is Did.COUNT and _born_within(learned, score):
            return None  # counts made anew from the current input are a feature of it, not a memory
        slot = self._is_slot(learned, score)
        if apart is Apart.SPAN and slot:
            return Pair(Offence.CONTEXT, learned, score)
        if apart is not None:
            return None
        if slot:
            return Pair(Offence.SLOT, learned, score)
        return self._persistent(learned, score)

    def taught(self, learned: Event) -> int:
        """What an event learned from: of an update with training data in it, the targets of its losses.

        Activations and losses that a model keeps from its last evaluation reach the loss of the next training
        step, too; they teach it nothing about the validation targets.
        """
        if learned.kind is not Did.UPDATE or not learned.bits & TRAIN:
            return learned.bits
        scores = [e for e in self.order.parts(learned.bits).events if e.kind is Did.SCORE and graded(e)]
        losses = [e for e in scores if e.data["targets"] & RAW] or scores  # an entropy has no targets
        targets = 0
        for loss in losses:
            targets |= loss.data["targets"]
        return targets if losses else learned.bits

    def _persistent(self, learned: Event, score: Event) -> Pair:
        if learned.kind is Did.UPDATE and (self.taught(learned) & TRAIN or not self.trained):
            return Pair(Offence.TRAINING, learned, score)
        before = self._charged_before(learned, score)
        if before is not None:
            return Pair(Offence.RESCORED, learned, score, before)
        if learned.kind is Did.UPDATE and self._saved_with(learned):
            return Pair(Offence.PREQUANT, learned, score)
        return Pair(Offence.AFTER, learned, score)

    @staticmethod
    def _is_slot(learned: Event, score: Event) -> bool:
        """Whether what moved was made in the iteration that scores, and is no part of the model."""
        if learned.kind is not Did.UPDATE or learned.data["models"]:
            return False
        return _born_within(learned, score)

    def _charged_before(self, learned: Event, score: Event) -> Event | None:
        """A charge of the same positions, in the same pass, before the learning."""
        inner = [e for e in self.order.scores(score.bits) if e.order < learned.order]
        if learned.kind is Did.COUNT and inner:
            return inner[-1]  # a score made before the counting is mixed with what was counted
        for charge in self.charges:
            if charge.order >= learned.order:
                break
            shared = together(charge, learned)
            beside = len(shared) > len(together(score, learned)) or charge.calls[:1] != score.calls[:1]
            if (
                shared
                and beside
                and _site(charge) != _site(score)
                and self.order.apart(charge, learned) is None
            ):
                return charge
        return None

    def _saved_with(self, learned: Event) -> bool:
        later = [s for s in self.saves if s.order > learned.order]
        return any(learned in self.order.parts(s.bits).events for s in later)


def _site(event: Event) -> tuple[ast.AST, ...]:
    """Where an event happened and through which calls: stages may share the function that charges."""
    return (event.node, *(call for _, call in event.calls))


def _born_within(learned: Event, score: Event) -> bool:
    """Whether everything that learned was made in an iteration that the score belongs to as well."""
    shared = set(together(learned, score))
    births = learned.data["births"]
    return bool(births) and all(shared & set(birth) for birth in births)
