"""Plain tables on the terminal: the rulebook, one rule, a sweep's counts, the accuracy score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from reports.score import Group
from rules.model import Rule

_SHOWN = ("FAIL", "REVIEW", "PASS", "INCONCLUSIVE", "NOT_APPLICABLE", "ERROR", "MISSING")
_SHORT = {"INCONCLUSIVE": "INCONCL", "NOT_APPLICABLE": "N/A"}


def print_rules(console: Console, rules: Sequence[Rule]) -> None:
    """List rules, one a line, grouped by condition."""
    table = Table("rule", "condition", "at most", "authority", "decided by", box=None, pad_edge=False)
    for rule in sorted(rules, key=lambda r: (r.condition, r.slug)):
        worth = f"{rule.severity}" + (", disputed" if rule.standing == "disputed" else "")
        table.add_row(rule.slug, rule.condition, worth, rule.authority, "+".join(rule.needs))
    console.print(table)


def print_rule(console: Console, rule: Rule) -> None:
    """Show one rule in full: statement, rulings with authority and date, remedy and limits."""
    console.print(f"[bold]{rule.slug}[/bold]  {rule.condition}, at most {rule.severity}, {rule.standing}")
    span = f"in force from {rule.since or 'the start'}" + (f" until {rule.until}" if rule.until else "")
    for heading, text in (
        (rule.title, rule.statement),
        ("What to do", rule.remedy),
        ("Limits", rule.limits),
        ("Decided by", ", ".join(rule.needs)),
        ("In force", span),
    ):
        console.print(f"\n[bold]{escape(heading)}[/bold]\n{escape(text)}")
    console.print("\n[bold]Rulings[/bold]")
    for ruling in rule.rulings:
        when = f" {ruling.on}" if ruling.on else ""
        hand = " (second-hand)" if ruling.second_hand else ""
        console.print(
            f"- {ruling.authority}{when}{hand}: {escape(ruling.text)}\n  {ruling.url}", soft_wrap=True
        )


def print_sweep(console: Console, counts: Mapping[str, int], seconds: float, peak_mb: float) -> None:
    """Show how many heads got which verdict, and what it cost."""
    table = Table("verdict", "heads", box=None, pad_edge=False)
    for verdict in _SHOWN:
        if counts.get(verdict):
            table.add_row(verdict, str(counts[verdict]))
    console.print(table)
    total = sum(counts.values())
    console.print(f"{total} heads in {seconds:.1f} s, peak memory of a process {peak_mb:.0f} MB")


def print_score(console: Console, groups: Sequence[Group], *, misses: bool) -> None:
    """Show the accuracy table: one line a class of precedents, then the disagreements if wanted."""
    shown = [v for v in _SHOWN if any(g.verdicts[v] for g in groups)]
    heads = [_SHORT.get(v, v) for v in shown]
    table = Table("public", "heads", *heads, "caught", "condition", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for group in groups:
        right = f"{group.right_condition}/{group.with_condition}" if group.with_condition else "-"
        caught = f"{group.share('FAIL', 'REVIEW'):.1%}"
        table.add_row(group.gold, str(group.total), *(str(group.verdicts[v]) for v in shown), caught, right)
    console.print(table)
    console.print("caught: FAIL or REVIEW; condition: the public verdict names one of those that we name")
    for group in groups if misses else ():
        if group.misses:
            console.print(f"\n[bold]{group.gold}[/bold]")
        for line in group.misses:
            console.print(f"  {escape(line)}", soft_wrap=True)
