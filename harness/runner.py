"""Run a submission's own script from training to its final score, small and in a sandbox.

``run(submission, layers, logs, options)`` returns a ``RunRecord``. Interface for the experiments:

* ``Companion`` (given in ``RunOptions.companion``) joins one attempt: its ``fds`` are inherited by
  the child, ``plan(workspace)`` becomes the plan's ``probes`` entry (``ProbeConfig`` keywords),
  ``attend(process, deadline)`` runs in the parent while the child lives, ``results()`` is read when
  it has gone. Only the attempt that completes counts; ``begin()`` is called before each.
* ``workspace.validation_files`` lists the validation shards by data set; ``world.make`` and
  ``world.build.stream`` draw replacements (noise, other seeds) for the same tokenizer.
* The child (``harness.child``) installs façade, then probes, then compiles and runs the script.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness import alone, launch, needs, outcome, shrink, workspace
from harness.arguments import claimed_arguments
from harness.discover import discover
from harness.experiments import Instruments
from harness.facade.sources import key
from harness.headline import claimed_environment
from harness.knobs import Knob
from harness.ladder import STEPS, Attempt, Ladder
from harness.record import Experiment, Outcome, RunRecord
from harness.sandbox import Sandbox, SandboxRefusedError, choose
from harness.submission import Submission
from harness.unpack import Layer
from harness.world import TRAINING, Stream

_MODELS = (".ptz", ".bin", ".pt", ".br", ".xz", ".zst", ".lzma", ".int6", ".int8", ".npz", ".safetensors")
VALIDATION = Stream(tokens=4097, seed=3)
REACHING_STEPS, REACHED = 32, Stream(tokens=16384, seed=2)
"""Steps of 1,024 tokens pass twice over so short a training stream; a random window among its own is of
validation one time in five."""


class Companion(Protocol):
    """Instruments and experiments that accompany an attempt."""

    def begin(self) -> tuple[int, ...]:
        """Prepare for one attempt; return the descriptors the child inherits."""

    def plan(self, place: workspace.Workspace) -> dict[str, Any]:
        """The ``probes`` entry of the child's plan."""

    def attend(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        """Work with the living child; return when done or at the deadline."""

    def results(self) -> tuple[tuple[Experiment, ...], dict[str, Any]]:
        """Experiments and coverage of the attempt that has ended."""


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    ``ranks`` above 1 starts that many real processes over gloo, without experiments. ``probes`` runs
    under the usual instruments when no ``companion`` is given; ``keep`` is a folder that receives the
    run's files for inspection.
    """

    no_sandbox: bool = False
    profile: str = "as_claimed"
    seconds: float = 180.0
    steps: int = STEPS
    seed: int = 1337
    val: Stream = VALIDATION
    train: Stream = TRAINING
    bf16: str = "alias"
    ranks: int = 1
    probes: bool = True
    companion: Companion | None = None
    keep: Path | None = None


def reaching(options: RunOptions) -> RunOptions:
    """The same with more steps over fewer tokens: training comes to validation shards among its own."""
    return replace(options, steps=REACHING_STEPS, train=REACHED)


def run(
    submission: Submission, layers: Sequence[Layer], logs: Any = None, options: RunOptions | None = None
) -> RunRecord:
    """Run ``submission`` until it completes, nothing is left to try or the time is up."""
    options = options or RunOptions()
    began = time.monotonic()
    if not layers or submission.entry_script is None:
        return RunRecord(Outcome.SKIPPED, "there is no training script")
    if needs.starts_nothing(submission, layers[0].lowered):
        return RunRecord(Outcome.CRASHED, "the script starts nothing: it only defines functions and classes")
    try:
        sandbox = choose(options.no_sandbox, options.ranks)
    except SandboxRefusedError as refusal:
        return RunRecord(Outcome.REFUSED, str(refusal))
    with tempfile.TemporaryDirectory(prefix="golf-trace-") as traces:
        if options.companion is None and options.probes and options.ranks == 1:
            options = replace(options, companion=Instruments(Path(traces), 0.85 * options.seconds))
        return _Session(submission, tuple(layers), logs, options, sandbox, began + options.seconds).climb()


class _Session:
    """The attempts at one submission."""

    def __init__(
        self,
        submission: Submission,
        layers: tuple[Layer, ...],
        logs: Any,
        options: RunOptions,
        sandbox: Sandbox,
        deadline: float,
    ) -> None:
        self.submission, self.options = submission, options
        self.layers = (*layers, *needs.loaded(submission, layers))
        self.sandbox, self.deadline = sandbox, deadline
        self.knobs = discover(self.layers)
        self.claimed = {**claimed_environment(logs, self.knobs), **claimed_arguments(logs, layers)}
        self.ladder = Ladder(self.claimed, options.ranks)
        self.notes: list[str] = []
        self.began = time.monotonic()

    def climb(self) -> RunRecord:
        """Try the rungs in order; keep the first that completes, else the first failure."""
        failure: RunRecord | None = None
        rung: Attempt | None = self._first()
        while rung is not None and (failure is None or time.monotonic() < self.deadline - 15):
            record, ending = self._attempt(rung)
            if record.outcome is Outcome.COMPLETED:
                return record
            self.notes.append(f"{rung.profile}, own sizes {[*rung.keep, *rung.own]}: {ending.blocker}")
            failure = failure or record
            rung = self.ladder.next(rung, ending)
        assert failure is not None
        return replace(failure, notes=tuple(self.notes), seconds=time.monotonic() - self.began)

    def _first(self) -> Attempt:
        options = self.options
        interval = options.steps if shrink.divides_by_progress(self.layers) else 0
        first = Attempt(options.profile, (), options.bf16, options.steps, interval=interval)
        return self.ladder.start(first)

    def _attempt(self, rung: Attempt) -> tuple[RunRecord, outcome.Ending]:
        claimed = self.claimed if rung.profile == "as_claimed" else {}
        claimed = {k: v for k, v in claimed.items() if k not in rung.without}
        caps = {"progress": rung.interval, "steps": rung.steps}
        multiples = dict(rung.multiples)
        shrunk = shrink.shrink(self.knobs, claimed, rung.keep, rung.own, caps, multiples, rung.batch)
        self.ladder.lowered = tuple(shrunk.changed)
        val, train = self.options.val, self.options.train
        told = {**shrunk.env, **shrunk.arguments}
        wanted = needs.find(self.submission, self.layers, self.knobs, told, val, rung.vocabulary, train)
        shrunk.arguments |= wanted.arguments
        self.ladder.vocabularies = wanted.choices
        root = Path(tempfile.mkdtemp(prefix="golf-run-"))
        try:
            place = workspace.prepare(root, self.submission, wanted, rung.lacking)
            ending = self._judge(place, self._start(rung, place, shrunk, wanted))
            if self._may_evaluate(ending, place) and (switch := alone.switch(self.knobs, self.layers)):
                ending = self._second(rung, place, shrunk, wanted, ending, *switch)
            if self.options.keep is not None:
                shutil.rmtree(self.options.keep, ignore_errors=True)
                shutil.copytree(root, self.options.keep, symlinks=True)
        finally:
            shutil.rmtree(root, ignore_errors=True)
        return self._record(rung, shrunk, ending), ending

    def _may_evaluate(self, ending: outcome.Ending, place: workspace.Workspace) -> bool:
        """Whether a script died after it wrote its model, with time left for a second process."""
        crashed = ending.outcome is Outcome.CRASHED and time.monotonic() <= self.deadline - 15
        return crashed and self._has_artifact(place)

    def _has_artifact(self, place: workspace.Workspace) -> bool:
        """Whether the run wrote a file that looks like a compressed model."""
        theirs = {place.repo / e.path for e in self.submission.entries}
        written = (p for p in place.repo.rglob("*") if p.suffix in _MODELS and p not in theirs)
        return any(not p.is_symlink() and p.is_file() for p in written)

    def _second(
        self,
        rung: Attempt,
        place: workspace.Workspace,
        shrunk: shrink.Shrunk,
        wanted: needs.Needs,
        first: outcome.Ending,
        switch: Knob,
        value: str,
    ) -> outcome.Ending:
        """Evaluate in a second process what the first has written; its score counts, or the first failure."""
        (place.root / "status.json").unlink(missing_ok=True)
        evaluating = replace(shrunk, env={**shrunk.env, switch.name: value})
        ending = self._judge(place, self._start(rung, place, evaluating, wanted))
        if ending.outcome is not Outcome.COMPLETED:
            return first
        shrunk.apply(switch, value)
        told = f"{switch.name}={value} evaluated what it had written"
        self.notes.append(f"training ended in: {first.blocker}; {told}")
        return ending

    def _start(
        self, rung: Attempt, place: workspace.Workspace, shrunk: shrink.Shrunk, wanted: needs.Needs
    ) -> launch.Finished:
        companion = self.options.companion
        fds = companion.begin() if companion else ()
        env = {**launch.environment(place.root, place.cwd), **shrunk.env}
        env.update({k: v for k, v in wanted.env.items() if v})
        env.update(dict.fromkeys(launch.SIZES, str(rung.alike)) if rung.alike > 1 else {})
        for name in [*(k for k, v in wanted.env.items() if not v), *(launch.RANKS if rung.alone else ())]:
            env.pop(name, None)
        plan = self._plan(rung, place, shrunk, env)
        plan["probes"] = companion.plan(place) if companion else None
        path = place.root / "plan.json"
        path.write_text(json.dumps(plan), encoding="utf-8")
        workspace.open_to_all(place.root)
        job = launch.Job(
            root=place.root,
            cwd=place.cwd,
            plan=path,
            env=env,
            readable=place.worlds,
            links=place.links,
            fds=fds,
            seconds=max(10.0, self.deadline - time.monotonic()),
        )
        return launch.run(job, self.sandbox, companion.attend if companion else None)

    def _plan(
        self, rung: Attempt, place: workspace.Workspace, shrunk: shrink.Shrunk, env: dict[str, str]
    ) -> dict[str, Any]:
        wall = _positive(env.get("MAX_WALLCLOCK_SECONDS") or self._default("MAX_WALLCLOCK_SECONDS"), 600.0)
        return {
            "script": str(place.script),
            "argv": shrunk.argv,
            "run_dir": str(place.repo),
            "paths": sorted({str((place.repo / la.path).parent) for la in self.layers if la.how == "import"}),
            "layers": {key(layer.text): (layer.name, layer.lowered) for layer in self.layers},
            "constants": shrunk.constants,
            "facade": {
                "steps": rung.steps,
                "wall_seconds": wall,
                "bf16": rung.bf16,
                "ranks": 1 if rung.alone else self.options.ranks,
                "alike": rung.alike,
                "hollow": rung.hollow,
                "real_dynamo": any("flex_attention" in layer.text for layer in self.layers),
            },
            "seed": self.options.seed,
            "status": str(place.root / "status.json"),
        }

    def _default(self, name: str) -> Any:
        return next((k.default for k in self.knobs if k.topic == name and k.default is not None), None)

    def _judge(self, place: workspace.Workspace, finished: launch.Finished) -> outcome.Ending:
        text = finished.output
        if not outcome.scores(text)[0]:
            text += "\n".join(_read_logs(place.cwd, {place.repo / e.path for e in self.submission.entries}))
        return outcome.judge(text, place.root / "status.json", finished.timed_out, finished.seconds)

    def _record(self, rung: Attempt, shrunk: shrink.Shrunk, ending: outcome.Ending) -> RunRecord:
        companion = self.options.companion if ending.outcome is Outcome.COMPLETED else None
        experiments, coverage = companion.results() if companion else ((), {})
        settings = {**shrunk.env, **shrunk.arguments, **shrunk.changed}
        return RunRecord(
            outcome=ending.outcome,
            blocker=ending.blocker,
            profile=rung.profile,
            settings=settings,
            reported=ending.reported,
            experiments=experiments,
            coverage=coverage,
            sandbox=self.sandbox.name,
            notes=(*self.notes, *map(_told_hollow, rung.hollow), *ending.lines[-6:]),
            seconds=time.monotonic() - self.began,
        )


def _told_hollow(module: str) -> str:
    return f"module {module}, which is nowhere to be had, did nothing"


def _positive(value: Any, otherwise: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return otherwise
    return number if number > 0 else otherwise


def _read_logs(cwd: Path, theirs: set[Path]) -> list[str]:
    """Log files the script wrote in this run (not those submitted): some print nothing but to their log."""
    written = [p for p in cwd.rglob("*") if p.suffix in (".txt", ".log") and p not in theirs]
    found = [p for p in written if p.is_file() and not p.is_symlink()]
    return [p.read_text(encoding="utf-8", errors="replace")[-200_000:] for p in sorted(found)[:20]]
