"""Findings, worded: where each one is, what proves it, who ruled so, and in which order they are told."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from reports import claims, words
from reports.excerpt import Line, excerpt_lines
from reports.shape_v1 import Audit, Finding, Fix, Place, RuleResult, Ruling

REPOSITORY = "https://github.com/openai/parameter-golf"

Pair = tuple[RuleResult, Finding]


@dataclass(frozen=True, slots=True)
class Spot:
    """A place with its caption and excerpt.

    ``where`` is ``path:line`` or ``layer:line`` relative to the record folder; ``url`` points to the
    line on GitHub where the audit is of a commit and the line is not inside a packed layer.
    """

    where: str
    url: str
    path: str
    line: int
    layer: str | None
    scope: str
    caption: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Item:
    """One finding, worded. ``number`` counts from 1, worst first.

    ``brief`` says that a finding of the same rule with the same kind of evidence came before it, so
    that a short format needs to name only where else and what else. ``same`` says that a finding of
    the rule had the same message before.
    """

    number: int
    rule: str
    title: str
    condition: str
    verdict: str
    strength: str
    sure: str
    message: str
    spot: Spot
    related: tuple[Spot, ...]
    proof: str
    proof_kind: str
    facts: tuple[tuple[str, str], ...]
    reach: str
    statement: str
    remedy: str
    limits: str
    standing: str
    rulings: tuple[Ruling, ...]
    fingerprint: str
    rerun: str
    first_of_rule: bool
    brief: bool
    same: bool
    fix: Fix | None


def ordered(rules: Iterable[RuleResult]) -> list[Pair]:
    """Every finding with its rule, worst first; those of one rule stand together behind its worst."""
    pairs = sorted(((r, f) for r in rules for f in r.findings), key=_key)
    first: dict[tuple[str, bool], int] = {}
    for number, (rule, finding) in enumerate(pairs):
        first.setdefault((rule.rule, finding.strength == "remark"), number)
    return sorted(pairs, key=lambda pair: first[pair[0].rule, pair[1].strength == "remark"])


def _key(pair: Pair) -> tuple[int, int, int, int, int, float, str, int]:
    rule, finding = pair
    return (
        words.rank(rule.verdict, words.VERDICT_ORDER),
        words.rank(finding.strength, words.STRENGTH_ORDER),
        words.rank(finding.evidence.kind, words.EVIDENCE_ORDER),
        words.condition_rank(rule.condition),
        words.rank(rule.authority, words.AUTHORITY_ORDER),
        -finding.confidence,
        finding.path,
        finding.line,
    )


def items(pairs: Iterable[Pair], audit: Audit) -> Iterator[Item]:
    """Word findings in the order given, and number them."""
    kinds: dict[str, set[str]] = {}
    messages: dict[str, set[str]] = {}
    for number, (rule, finding) in enumerate(pairs, 1):
        told, said = kinds.setdefault(rule.rule, set()), messages.setdefault(rule.rule, set())
        before = _Before(bool(told), finding.evidence.kind in told, finding.message in said)
        told.add(finding.evidence.kind)
        said.add(finding.message)
        yield _item(number, rule, finding, audit, before)


class _Before(NamedTuple):
    """What earlier findings of the same rule have told already."""

    rule: bool
    kind: bool
    message: bool


def _item(number: int, rule: RuleResult, finding: Finding, audit: Audit, before: _Before) -> Item:
    return Item(
        number=number,
        rule=rule.rule,
        title=rule.title or rule.rule,
        condition=words.condition_short(rule.condition),
        verdict=rule.verdict,
        strength=words.STRENGTH.get(finding.strength, finding.strength),
        sure=words.sureness(finding.confidence),
        message=_sentence(local(finding.message, audit)),
        spot=_spot(finding, audit),
        related=tuple(_spot(p, audit) for p in finding.related),
        proof=_sentence(local(_proof(finding), audit)),
        proof_kind=words.EVIDENCE.get(finding.evidence.kind, finding.evidence.kind),
        facts=tuple(claims.facts(finding.evidence.data)),
        reach=local(finding.reach, audit),
        statement=rule.statement,
        remedy=rule.remedy,
        limits=rule.limits,
        standing=rule.standing,
        rulings=tuple(sorted(rule.rulings, key=_ruling_key)),
        fingerprint=finding.fingerprint,
        rerun=_rerun(finding, audit),
        first_of_rule=not before.rule,
        brief=before.kind,
        same=before.message,
        fix=finding.fix,
    )


def local(text: str, audit: Audit) -> str:
    """The text with paths as they are inside the record folder."""
    return text.replace(f"{audit.folder}/", "") if audit.folder else text


def _sentence(message: str) -> str:
    """Checkers of documents write fragments; a reader gets sentences. A name keeps its first letter."""
    ended = message if not message or not (message[-1].isalnum() or message[-1] in ")%") else f"{message}."
    return ended[:1].upper() + ended[1:] if re.match(r"[a-z]+[,:;]?\s", ended) else ended


def _proof(finding: Finding) -> str:
    """What the summary of the evidence adds to the message."""
    added = finding.evidence.summary.removeprefix(finding.message).strip()
    return "" if added == "." else added


def _ruling_key(ruling: Ruling) -> tuple[int, bool, str]:
    authority = words.rank(ruling.authority, words.AUTHORITY_ORDER)
    return authority, ruling.second_hand, ruling.on or "9999"


def _rerun(finding: Finding, audit: Audit) -> str:
    replay = finding.evidence.data.get("replay")
    known = isinstance(replay, str) and re.fullmatch(r"[\w.:-]+", replay)
    command = words.repeatable(audit.command)
    return f"{command} --replay {replay}" if command and known else ""


def _spot(place: Finding | Place, audit: Audit) -> Spot:
    name = (place.layer or place.path).removeprefix(f"{audit.folder}/")
    return Spot(
        where=f"{name}:{place.line}" if place.line else name,
        url=_permalink(place, audit),
        path=place.path,
        line=place.line,
        layer=place.layer,
        scope=place.scope,
        caption=place.caption,
        lines=excerpt_lines(place),
    )


def _permalink(place: Finding | Place, audit: Audit) -> str:
    packed = place.layer is not None and place.layer != place.path
    if packed or not place.line or not re.fullmatch(r"[0-9a-f]{40}", audit.head or ""):
        return ""
    return f"{REPOSITORY}/blob/{audit.head}/{quote(place.path)}#L{place.line}"
