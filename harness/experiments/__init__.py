"""Experiments on a run: vary the validation tokens and look whether the score stays a code length.

``Instruments`` accompanies a run of ``harness.runner`` and holds its experiments afterwards. How the
results convict is argued in ``docs/how-tests-decide.md``.
"""

from harness.experiments.bench import Ground, Session
from harness.experiments.companion import Instruments
from harness.experiments.conduct import conduct

__all__ = ["Ground", "Instruments", "Session", "conduct"]
