"""The report at the terminal: readable at 80 columns, in a CI log, and without colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule as Divider
from rich.table import Table
from rich.text import Text

from reports import view, words
from reports.excerpt import Line
from reports.items import Item, Spot
from reports.shape_v1 import Audit
from reports.text import plain, shorten

STYLE = {
    "FAIL": "bold red",
    "ERROR": "bold magenta",
    "REVIEW": "bold yellow",
    "INCONCLUSIVE": "yellow",
    "PASS": "green",
    "NOT_APPLICABLE": "dim",
}
_SHORT = 3  # rules with findings in the short form; --explain shows every one


def print_audit(console: Console, audit: Audit, *, explain: bool = False) -> None:
    """Print one audit. Colour follows the console, which honours NO_COLOR and pipes.

    The short form has the verdict, a line a condition, the worst findings and how to go on;
    ``explain`` adds every finding, ruling, experiment and rule.
    """
    shown = view.build(audit)
    parts = _long(shown, console.width) if explain else _short(shown, console.width)
    console.print(Group(*parts), highlight=False, soft_wrap=False)


def _short(shown: view.View, width: int) -> Iterator[RenderableType]:
    yield from _head(shown)
    yield _conditions(shown)
    told = 0
    for item in _leading(shown.items):
        yield from _finding(item, width, explain=False)
        others = [i for i in shown.items if i.rule == item.rule and i is not item]
        yield from _also(others)
        told += 1 + len(others)
    if told < len(shown.items):
        rules = dict.fromkeys(i.rule for i in shown.items[told:])
        left = f"{words.count(len(shown.items) - told, 'more finding')} under {words.listed(list(rules))}"
        yield Text(f"\n{left}; --explain shows all.", style="dim")
    yield from _ending(shown, explain=False)


def _leading(items: tuple[Item, ...]) -> list[Item]:
    """The worst finding of each of the worst rules; findings of a rule stand together."""
    return [i for i in items if i.first_of_rule][:_SHORT]


def _also(items: list[Item]) -> Iterator[RenderableType]:
    """Further findings of the same rule, a place and a message each."""
    for item in items[:_SHORT]:
        line = Text("also ", style="dim")
        line.append(plain(item.spot.where), style="cyan")
        told = "" if item.same else f"  {plain(item.message)}"
        yield Padding(line.append(told, style="default"), (0, 0, 0, 3))
    if len(items) > _SHORT:
        yield Padding(Text(f"and {len(items) - _SHORT} more", style="dim"), (0, 0, 0, 3))


def _long(shown: view.View, width: int) -> Iterator[RenderableType]:
    yield from _head(shown)
    yield _labelled(shown.subject)
    yield _bullets(shown.checked)
    yield _conditions(shown)
    for item in shown.items:
        yield from _finding(item, width, explain=True)
    if shown.remarks:
        yield _title("Remarks")
        yield _three((i.rule, i.spot.where, i.message) for i in shown.remarks)
    if shown.experiments:
        yield _title("Experiments")
        yield _three((e.name, e.result, e.summary) for e in shown.experiments)
    if shown.claims.rows:
        yield _title("Claims")
        yield _claims(shown)
    yield _title("Every rule")
    yield _three((r.rule, words.VERDICT_LABEL[r.verdict], r.sentence) for r in shown.rules)
    yield from _ending(shown, explain=True)


def _head(shown: view.View) -> Iterator[RenderableType]:
    line = Text()
    line.append(f"{shown.verdict}", style=STYLE[shown.verdict])
    line.append(f"  {plain(shown.title)}", style="bold")
    yield line
    yield Text(f"{shown.headline}." + (f" {_sentence(plain(shown.because))}" if shown.because else ""))
    yield Text()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _conditions(shown: view.View) -> Table:
    table = _grid(6, 1, 14)
    for line in shown.conditions:
        style = STYLE[line.verdict]
        mark = Text(words.SYMBOL[line.verdict], style=style)
        label = Text(words.VERDICT_LABEL[line.verdict], style=style)
        table.add_row(Text(plain(line.short)), mark, label, Text(plain(line.sentence)))
    return table


def _grid(*widths: int) -> Table:
    table = Table.grid(padding=(0, 1))
    for width in widths:
        table.add_column(min_width=width, no_wrap=True)
    table.add_column(ratio=1)
    return table


def _finding(item: Item, width: int, *, explain: bool) -> Iterator[RenderableType]:
    yield Text()
    head = Text(f"{item.number}. ", style="bold")
    yield head.append(plain(item.title), style=STYLE[item.verdict])
    named = f"{item.rule} ({item.condition}): {item.strength}, {item.sure}, {item.proof_kind}"
    yield Padding(Text(plain(named), style="dim"), (0, 0, 0, 3))
    body = list(_body(item, width, explain))
    yield Padding(Group(*body), (0, 0, 0, 3))


def _body(item: Item, width: int, explain: bool) -> Iterator[RenderableType]:
    yield Text(plain(item.message))
    for spot in (item.spot, *(item.related if explain else item.related[:1])):
        yield from _spot(spot, width)
    said = [("evidence", item.proof), ("reached", item.reach), ("see it again", item.rerun)]
    if item.first_of_rule:
        said.append(("remedy", item.remedy))
    if explain:
        said += [(name, value) for name, value in item.facts]
        said += [(f"ruling, {r.authority}", _ruling(r.text, r.on, r.url)) for r in item.rulings]
        said += [("limits", item.limits), ("fingerprint", item.fingerprint)]
    elif item.first_of_rule:
        said += [(f"ruling, {r.authority}", _ruling(r.text, r.on, r.url)) for r in item.rulings[:1]]
    yield _labelled((name, value) for name, value in said if value)


def _ruling(text: str, on: str | None, url: str) -> str:
    return " ".join(part for part in (text, f"({on})" if on else "", url) if part)


def _spot(spot: Spot, width: int) -> Iterator[Text]:
    scope = f" in {plain(spot.scope)}" if spot.scope else ""
    caption = f": {plain(spot.caption)}" if spot.caption else ""
    yield Text(f"--> {plain(spot.where)}{scope}{caption}", style="cyan", overflow="fold")
    digits = max((len(str(x.number)) for x in spot.lines if x.number), default=1)
    for line in spot.lines[:6]:
        yield from _line(line, digits, width - digits - 6)


def _line(line: Line, digits: int, room: int) -> Iterator[Text]:
    start = max(0, line.caret - room // 2) if len(line.text) > room and line.caret > room - 4 else 0
    number = str(line.number) if line.number else ""
    yield Text(
        f"{number:>{digits}} | {shorten(line.text[start:], max(room, 8))}", no_wrap=True, overflow="ellipsis"
    )
    if line.caret >= 0:
        yield Text(f"{'':>{digits}} | {' ' * (line.caret - start)}^", style="bold red", no_wrap=True)


def _labelled(rows: Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]) -> Table:
    table = _grid(9)
    for name, value in rows:
        table.add_row(Text(plain(name), style="dim"), Text(plain(value), overflow="fold"))
    return table


def _bullets(lines: Iterable[str]) -> Table:
    table = _grid(1)
    for line in lines:
        table.add_row(Text("-"), Text(plain(line), overflow="fold"))
    return table


def _three(rows: Iterator[tuple[str, str, str]]) -> Table:
    table = _grid(10, 8)
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row))
    return table


def _claims(shown: view.View) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for name in ("", *shown.claims.head):
        table.add_column(plain(name), justify="left" if not name else "right")
    for row in shown.claims.rows:
        table.add_row(*(Text(plain(value)) for value in row))
    return table


def _title(text: str) -> Group:
    return Group(Text(), Divider(Text(text), align="left", style="dim", characters="-"))


def _ending(shown: view.View, *, explain: bool) -> Iterator[RenderableType]:
    if shown.would_change and (explain or not shown.items):
        yield Text("\nWhat would change this verdict", style="bold")
        lines = shown.would_change if explain else shown.would_change[:4]
        yield _bullets(lines)
    if shown.not_checked:
        yield Text("\nNot checked", style="bold")
        limit = len(shown.not_checked) if explain else 3
        yield _bullets(shown.not_checked[:limit])
        if len(shown.not_checked) > limit:
            yield Text(f"  and {len(shown.not_checked) - limit} more (--explain)", style="dim")
    yield Text()
    if explain:
        yield from (Text(plain(line), style="dim") for line in (*shown.caveats, *shown.notes))
        yield _labelled(shown.provenance)
    if shown.command:
        yield Text(f"Repeat: {plain(shown.command)}", style="dim", overflow="fold")
