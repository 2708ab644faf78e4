"""Seeds of one claim are runs of one configuration and one script."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checkers.evidence._runs import Counted, counted
from checkers.evidence._say import found, plural
from checkers.finding import CheckResult, Finding, Strength, cannot_tell, examined, nothing_to_check
from checkers.subject import Subject
from harness.logs import Setting, SizeKind

RULE = "mixed-seed-configurations"
_OWN = re.compile(
    r"seed|run_?id|.*(?:path|dir|files?|logs?|name|prefix|url|host|port|rank|tag|every|interval|freq)$",
    re.IGNORECASE,
)
_SWITCH = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?|true|false|none|[a-z][a-z0-9_+-]{0,24}", re.IGNORECASE)
_SHOWN = 6
_CLOCK = "max_wallclock_seconds"
_MARGIN = 0.01  # of the clock: 599 s for 600 s is a margin of safety, no other configuration
_SPELLED = {"true": "1.0", "false": "0.0"}


def check(subject: Subject) -> CheckResult:
    """Compare the hyperparameters that the counted runs printed before their first score."""
    matched = [run for run in counted(subject) if run.claim and run.certain]
    runs = [run for run in matched if not _only_evaluates(run)]
    if not runs:
        return cannot_tell("no logged run can be matched with the claim")
    if len(runs) < 2:
        return nothing_to_check("one run alone cannot be mixed")
    findings = [*_settings(runs, _declared(subject)), *_code(runs)]
    return examined(len(runs), plural(len(runs), "run"), findings)


def _only_evaluates(run: Counted) -> bool:
    """A run of no training steps scores a model that another run trained."""
    return run.log.number("iterations") == 0


def _declared(subject: Subject) -> set[str]:
    """Names that the script reads from its environment: settings, as opposed to printed measurements."""
    texts = [layer.text for layer in subject.layers] + [log.source or "" for log in subject.logs.logs[:1]]
    return {name.lower() for text in texts for name in re.findall(r"[\"']([A-Z][A-Z0-9_]{1,60})[\"']", text)}


def _settings(runs: list[Counted], declared: set[str]) -> Iterator[Finding]:
    headers = [_header(run, declared) for run in runs]
    common = set.intersection(*(set(h) for h in headers))
    different = sorted(n for n in common if _differs(n, [h[n] for h in headers]))
    if not any("ttt" in run.score.label.lower() for run in runs):
        different = [n for n in different if not n.startswith("ttt")]  # the claimed score is taken before it
    if not different:
        return
    shown = ", ".join(f"{n} = {' / '.join(h[n].value for h in headers)}" for n in different[:_SHOWN])
    message = f"the runs behind the claim differ in {plural(len(different), 'setting')}: {shown}"
    first, *rest = (h[different[0]].place for h in headers)
    data = {n: [h[n].value for h in headers] for n in different[:40]}
    related = [(place, "another run") for place in rest]
    yield found(RULE, message, first, Strength.SUSPECT, 0.8, data=data, related=related)


def _header(run: Counted, declared: set[str]) -> dict[str, Setting]:
    """The settings a run printed before it scored anything: later pairs are results."""
    first = min((s.place.line for s in run.log.scores), default=10**9)
    return {
        name: setting
        for name, setting in run.log.settings.items()
        if name in declared
        and setting.place.line < first
        and not _OWN.fullmatch(name)
        and _SWITCH.fullmatch(setting.value)
    }


def _differs(name: str, settings: list[Setting]) -> bool:
    values = {_plain(s.value) for s in settings}
    return len(values) > 1 and not (name == _CLOCK and _close(values))


def _close(values: set[str]) -> bool:
    seconds = sorted(map(float, values)) if all(re.fullmatch(r"[\d.]+", v) for v in values) else [0.0, 1.0]
    return seconds[0] >= (1.0 - _MARGIN) * seconds[-1]


def _plain(value: str) -> str:
    try:
        return repr(float(value))
    except ValueError:
        return _SPELLED.get(value.lower(), value.lower())


def _code(runs: list[Counted]) -> Iterator[Finding]:
    """Different printed code sizes mean different scripts; whether the difference matters is not known."""
    sizes = [s for run in runs if (s := next((z for z in run.log.sizes if z.kind is SizeKind.CODE), None))]
    sizes = [s for s in sizes if s.bytes > 0]
    if len({s.bytes for s in sizes}) > 1:
        shown = " / ".join(f"{s.bytes:,}" for s in sizes)
        message = f"the runs behind the claim print different code sizes: {shown} bytes"
        yield found(RULE, message, sizes[0].place, Strength.REMARK, 0.6)
