"""The audit from top to bottom, and the command line ``golf-audit``.

Each step is a plain function from one frozen value to the next: load, unpack, read the documents,
check statically, run under instruments, check the run, decide, report.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console

import reports
from checkers import claims, registry
from checkers.audit import Audit
from checkers.registry import Checked
from checkers.subject import Subject
from checkers.verdict import decide
from harness import collector, folder, gitsource, logs, sweep, unpack
from harness.record import Outcome, RunRecord
from harness.replay import replayed
from harness.replay import told as counterexample
from harness.submission import Submission, SubmissionError
from reports import fixes, json_v1, progress, tables
from reports.commandline import (
    EXIT_CODES,
    AsOfOption,
    ExplainOption,
    FormatOption,
    JsonOption,
    NoRunOption,
    OutOption,
    QuietOption,
    RepoOption,
    StrictOption,
    day,
    made,
    show,
    sweep_exit,
    tool_version,
    typed,
)
from reports.commandline import formats as formats_of
from reports.score import AuditLine, PrecedentLine, ScoreError, read_jsonl, score
from reports.shape_v1 import Fix
from rules.model import Need, Rule, Verdict
from rules.rulebook import RulebookError
from rules.rulebook import load as load_rulebook

if TYPE_CHECKING:
    from harness.runner import RunOptions

DEMO = Path(__file__).resolve().parent / "reference_model" / "demo_record"
HEAD_SECONDS = 120  # a head of the archive takes about one second; this catches the pathological


@dataclass(frozen=True, slots=True)
class Options:
    """What an audit is asked to do beyond its submission."""

    run: bool = True
    strict: bool = False
    as_of: date | None = None
    command: str = "golf-audit check"
    sandbox: bool = True

    @property
    def key(self) -> str:
        """The part of a cache key that these options decide."""
        return f"{self.run}|{self.strict}|{self.as_of}"


# --- the pipeline -------------------------------------------------------------------------------


def audit(submission: Submission, options: Options) -> Audit:
    """Audit one loaded submission. Executes its code only if ``options.run``, in a sandbox."""
    started = time.perf_counter()
    rulebook = load_rulebook(options.as_of)
    with collector.rarely():
        layers = unpack.layers(submission)
        book = logs.read(submission, layers)
        subject = Subject(submission, layers, book, _day(submission, options.as_of))
        checked = registry.run(subject, frozenset({Need.STATIC, Need.EVIDENCE}))
    record = _run(subject, checked, options) if options.run else None
    if record is not None:
        checked += registry.run(replace(subject, run=record), frozenset({Need.RUNTIME}))
    return Audit(
        submission=submission,
        layers=layers,
        decision=decide(rulebook, checked, record, strict=options.strict, nothing=_nothing(submission)),
        edition=rulebook.edition,
        as_of=subject.as_of,
        command=options.command,
        strict=options.strict,
        run=record,
        claims=claims.table(book, record, submission),
        logs=book,
        facts=vars(subject).get("facts"),  # only if a checker needed them
        seconds=round(time.perf_counter() - started, 3),
    )


def _nothing(submission: Submission) -> str | None:
    if submission.folder is None and submission.entry_script is None:
        return "the change holds neither a record folder nor a training script"
    return None


def _day(submission: Submission, as_of: date | None) -> date:
    """The day whose record table applies: the one asked for, else the submission's, else today."""
    if as_of or not submission.submitted_on:
        return as_of or date.today()
    return date.fromisoformat(submission.submitted_on)


def _run(subject: Subject, checked: Sequence[Checked], options: Options) -> RunRecord:
    """Run the submission; where reading suspects its training of validation tokens, far enough to meet them.

    A script that does not complete so is run in the usual way.
    """
    from harness import runner  # only a run needs torch, and torch takes seconds to import

    if subject.submission.entry_script is None:
        return RunRecord(Outcome.SKIPPED, blocker="there is no training script to run")
    usual: RunOptions = runner.RunOptions(no_sandbox=not options.sandbox)
    steered = [runner.reaching(usual)] if _suspects(checked, "validation-in-training") else []
    for settings in (*steered, usual):
        record = runner.run(subject.submission, subject.layers, subject.logs, settings)
        if record.outcome is Outcome.COMPLETED:
            break
    return record


def _suspects(checked: Sequence[Checked], slug: str) -> bool:
    return any(c.checker.slug == slug and c.result is not None and c.result.findings for c in checked)


def corrections(done: Audit, options: Options) -> dict[str, Fix]:
    """Mechanical corrections of what was found, each audited again without a run before it is offered."""

    def again(submission: Submission) -> dict[str, Verdict]:
        return fixes.verdicts(audit(submission, replace(options, run=False)).decision.rules)

    return fixes.offer(done, again)


def load_submission(path: Path | None, repo: Path | None, pr: int | None, commit: str | None) -> Submission:
    """Load what the command line names: a folder, a pull request of a clone, or one of its commits.

    Raises:
        SubmissionError: the combination makes no sense or nothing is there.
    """
    if repo is None:
        if path is None or pr is not None or commit is not None:
            raise SubmissionError("give a record folder, or --repo CLONE with --pr N or --commit SHA")
        return folder.load_folder(path)
    if path is not None or (pr is None) == (commit is None):
        raise SubmissionError("with --repo give exactly one of --pr N and --commit SHA, and no folder")
    if commit is not None:
        return gitsource.load_commit(repo, commit)
    assert pr is not None
    return gitsource.load_pull(repo, pr)


def audit_head(repo: Path, options: Options, task: sweep.Task) -> bytes:
    """Audit one pull request of a clone for a sweep: always a record, whatever goes wrong."""
    try:
        with sweep.time_limit(HEAD_SECONDS if not options.run else 10 * HEAD_SECONDS):
            return json_v1.to_json(audit(gitsource.load_pull(repo, task.pr), options))
    except SubmissionError as error:
        return json_v1.unreadable(task.pr, task.head, str(error))
    except Exception as error:  # one head must never stop the others; the record says whose fault it is
        return json_v1.our_error(task.pr, task.head, f"{type(error).__name__}: {error}")


# --- the command line -----------------------------------------------------------------------------

app = typer.Typer(
    name="golf-audit",
    help="Referee of the Parameter Golf challenge: a score is valid exactly when it is a code length.",
    epilog="Exit codes: 0 nothing wrong found, 1 FAIL, 2 usage or unreadable input, 3 our error, "
    "4 REVIEW or INCONCLUSIVE only.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"golf-audit {tool_version()}, rulebook {load_rulebook().edition}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def check(
    path: Annotated[Path | None, typer.Argument(help="A record folder.", show_default=False)] = None,
    repo: RepoOption = None,
    pr: Annotated[int | None, typer.Option("--pr", help="A pull request of the clone.")] = None,
    commit: Annotated[str | None, typer.Option("--commit", help="A commit of the clone.")] = None,
    no_run: NoRunOption = False,
    no_sandbox: Annotated[bool, typer.Option("--no-sandbox", help="Run untrusted code UNPROTECTED.")] = False,
    as_of: AsOfOption = None,
    strict: StrictOption = False,
    out: OutOption = None,
    formats: FormatOption = "md,json,html",
    replay: Annotated[
        str | None, typer.Option("--replay", metavar="ID", help="Show one counterexample again.")
    ] = None,
    explain: ExplainOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Audit one submission: a record folder, or a pull request or commit of a clone."""
    wanted = formats_of(formats)
    options = Options(not no_run, strict, day(as_of), typed(), not no_sandbox)
    submission = load_submission(path, repo, pr, commit)
    made(out)
    with progress.working(f"Auditing {submission.label}{_how(options)}", quiet or as_json):
        done = audit(submission, options)
        again = replayed(done.run, replay) if replay else None
        record = json_v1.to_json(done, fixes=corrections(done, options))
    if again and not as_json:
        typer.echo(counterexample(again))
    shown = json_v1.from_json(record)
    show(shown, record, out, wanted, explain=explain, as_json=as_json, quiet=quiet)
    raise typer.Exit(EXIT_CODES[shown.verdict])


def _how(options: Options) -> str:
    """What takes the time; short enough for 80 columns beside a clock."""
    return ": read, then run on this CPU, a minute or more" if options.run else ""


@app.command()
def demo(out: OutOption = None, no_run: NoRunOption = False, quiet: QuietOption = False) -> None:
    """Audit the bundled submission end to end, its instrumented run included.

    Exits 0 once the audit is done, whatever its verdict: the record is scored on a small text of our
    own, which the audit rightly asks a reviewer to look at.
    """
    target = made(out or Path("out/demo"))
    options = Options(run=not no_run, command="golf-audit demo")
    submission = folder.load_folder(DEMO)
    with progress.working(f"Auditing the bundled submission{_how(options)}", quiet):
        record = json_v1.to_json(audit(submission, options))
    show(json_v1.from_json(record), record, target, formats_of("md,json,html"), quiet=quiet)
    if not quiet:
        typer.echo(
            "(The demo is scored on a small text of our own, so truncated-validation asks for a look.)"
        )


@app.command(name="sweep")
def sweep_command(
    repo: Annotated[Path, typer.Option("--repo", metavar="CLONE", help="A clone of the challenge.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where results.jsonl goes; resumes from it.")
    ],
    prs: Annotated[str | None, typer.Option("--prs", metavar="LIST", help="Like 1,5-9.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every pull request of the clone.")] = False,
    no_run: NoRunOption = False,
    jobs: Annotated[int, typer.Option("--jobs", help="Processes; 0 means one a core.")] = 0,
    as_of: AsOfOption = None,
    strict: StrictOption = False,
    quiet: QuietOption = False,
) -> None:
    """Audit many pull requests of a clone into DIR/results.jsonl; a killed sweep resumes."""
    if (prs is None) != every:
        raise SubmissionError("give exactly one of --prs LIST and --all")
    options = Options(not no_run, strict, day(as_of), "golf-audit sweep")
    tasks = sweep.plan(repo, prs, options.key)
    made(out)
    counts: dict[str, int] = {}
    started = time.perf_counter()
    with progress.counting(quiet) as bars:
        bar = bars.add_task("Auditing", total=len(tasks))

        def on_finished(task: sweep.Task, record: bytes, cached: bool) -> None:
            verdict = msgspec.json.decode(record, type=_Verdict).verdict
            counts[verdict] = counts.get(verdict, 0) + 1
            bars.update(bar, advance=1, description=f"Auditing, last #{task.pr} {verdict}")

        job = partial(audit_head, repo, options)
        peak = sweep.sweep(tasks, job, out, jobs=jobs or sweep.default_jobs(), on_finished=on_finished)
    if not quiet:
        tables.print_sweep(Console(), counts, time.perf_counter() - started, peak)
    for written in reports.write_queue(out):
        if not quiet:
            typer.echo(f"wrote {written}")
    raise typer.Exit(sweep_exit(counts))


class _Verdict(msgspec.Struct):
    verdict: str


@app.command(name="rules")
def rules_command(
    slug: Annotated[str | None, typer.Argument(help="One rule, in full.", show_default=False)] = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the rulebook, or show one rule with its rulings, remedy and limits."""
    book = load_rulebook(day(as_of))
    chosen: list[Rule] = [book[slug]] if slug else list(book.rules.values())
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(chosen), indent=2).decode())
    elif slug:
        tables.print_rule(Console(), chosen[0])
    else:
        tables.print_rules(Console(), chosen)


@app.command(name="score")
def score_command(
    results: Annotated[Path, typer.Option("--results", help="results.jsonl of a sweep.")],
    precedents: Annotated[
        Path, typer.Option("--precedents", help="Public verdicts, one JSON object a line.")
    ],
    misses: Annotated[bool, typer.Option("--misses", help="List every disagreement.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a sweep with public verdicts: the accuracy table."""
    groups = score(read_jsonl(results, AuditLine), read_jsonl(precedents, PrecedentLine))
    if as_json:
        typer.echo(msgspec.json.encode([g.as_dict() for g in groups]).decode())
        return
    tables.print_score(Console(), groups, misses=misses)


@app.command(name="report")
def report_command(
    audit_json: Annotated[Path, typer.Argument(metavar="AUDIT.json", help="A record that check wrote.")],
    formats: FormatOption = "md",
    out: OutOption = None,
) -> None:
    """Render a stored audit again; one format without --out goes to standard output."""
    wanted = formats_of(formats)
    try:
        record = json_v1.from_json(audit_json.read_bytes())
    except OSError as error:
        raise SubmissionError(f"{audit_json}: {error.strerror or error}") from None
    except msgspec.DecodeError as error:
        raise SubmissionError(f"{audit_json}: {error}") from None
    if out is None and len(wanted) == 1:
        sys.stdout.buffer.write(reports.render(record, wanted[0])[1])
        return
    for written in reports.write_all(record, wanted, made(out) or Path()):
        typer.echo(str(written))


def main() -> None:
    """Entry point: bad input is one line on standard error and exit code 2, never a traceback."""
    try:
        app()
    except (SubmissionError, ScoreError, RulebookError) as error:
        typer.echo(f"golf-audit: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
