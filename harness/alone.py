"""The setting by which a script evaluates what an earlier process has written, and does no more than that."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from harness.knobs import Knob, Via
from harness.unpack import Layer

_SWITCH = re.compile(r"(?:\w+_)?(?:EVAL_ONLY|EVALUATE_ONLY|ONLY_EVAL)")
_MODE = re.compile(r"(?:\w+_)?MODE")
_WHOLE = re.compile(r"\w*(?:train|full|all)\w*", re.IGNORECASE)
"""What such a mode is called where a run does all that there is to do."""
_VALUE = re.compile(r"[\"'](eval(?:uate)?[-_]only|only[-_]eval)[\"']")


def switch(knobs: Iterable[Knob], layers: Iterable[Layer]) -> tuple[Knob, str] | None:
    """The setting and its value: a switch named so, the longest name first, else a mode that is called so."""
    known = [k for k in knobs if k.via is Via.ENVIRONMENT]
    named = sorted((k for k in known if _SWITCH.fullmatch(k.name)), key=lambda k: -len(k.name))
    if named:
        return replace(named[0], default=named[0].default or "0"), "1"
    value = next((found[1] for layer in layers if (found := _VALUE.search(layer.lowered))), None)
    modes = [k for k in known if _MODE.fullmatch(k.name) and _WHOLE.fullmatch(str(k.default or ""))]
    return (modes[0], value) if value and modes else None
