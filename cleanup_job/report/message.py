"""The outcome of a run as a short message for operators, in Markdown and as plain text.

Services cut what is too long for them, so both forms have at most ``LONGEST`` characters, in whole lines, the most important
ones first. Nothing in a name is markup, and no name calls anyone: in chats, ``@`` and a word would.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, urlsplit

from cleanup_job.exit_codes import is_failure, meaning
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import NOTICES, REASON_TEXTS, ProjectSum, ReasonSum, Report, StageSum, TaskOutcome
from cleanup_job.planning.sweep_outcome import SweepReport
from cleanup_job.report.formatting import at_least, counted, duration, middle, moment, plain, size
from cleanup_job.report.markdown import escaped, link_target
from cleanup_job.report.phrases import (
    LINK_SAFE,
    VERDICT_NAMES,
    by_weight,
    headline,
    left_over,
    link,
    seconds,
    store_setting,
    verdict_of,
    waiting,
)
from cleanup_job.report.sweep import VERDICT_TEXTS

LONGEST = 3400
"""Characters of a message: what most chats take at once."""
NAME = 60
"""Characters of a name; of a longer one, the middle is left out."""
DETAIL = 200
"""Characters of a detail, a warning, the address of a store."""
ERROR = 600
"""Characters of an error."""
EXAMPLES = 3
"""Tasks named for each reason."""
PROJECTS = 8
"""Projects with a line of their own."""
OTHERS = 5
"""Kept reasons, stores, settings and warnings with a line of their own."""

_PAST = {Stage.ARCHIVE: "archived", Stage.SLIM: "slimmed", Stage.DELETE: "deleted"}

Kind = Literal["failure", "warning", "success", "info"]
Line = Callable[["_Style"], str]


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    title: str
    markdown: str
    text: str
    kind: Kind


def of_report(report: Report, sender: str) -> Message:
    """The message of a pass; ``sender`` names its release."""
    first = [_facts(report, sender), *_about_end(report), *_failed(report), *_announced(report), *_by_policy(report)]
    what = meaning(report.exit_code) if report.exit_code else _done(report)
    noticed = any(entry.noticed for entry in report.stages.values())
    kind: Kind = "failure" if is_failure(report.exit_code) else "warning" if report.warned or noticed else "success"
    blocks = [*first, _projects(report), _kept(report), _remarks(report)]
    return _made(_title(report.server, what, dry_run=report.dry_run), blocks, kind)


def of_sweep(report: SweepReport, sender: str) -> Message:
    """The message of a sweep; ``sender`` names its release."""
    found = f"{counted(report.folders, 'task folder')}, {report.known:,} of them with a record"
    facts = [_heading(f"Sweep: {found}."), *_origin(report.server, sender, report.exit_code)]
    sums = [
        _item(f"{counted(total.folders, 'folder')} with {counted(total.files, 'file')} ({size(total.bytes)}): {text}")
        for verdict, text in VERDICT_TEXTS.items()
        if (total := report.sums.get(verdict)) is not None
    ]
    ended = [_item(f"It ended early: {report.stopped_by.text}.")] if report.stopped_by else []
    what = meaning(report.exit_code) if report.exit_code else f"sweep of {counted(report.folders, 'task folder')}"
    kind: Kind = "failure" if is_failure(report.exit_code) else "success"
    return _made(_title(report.server, what, dry_run=not report.delete), [facts, _error(report.error), [*sums, *ended]], kind)


def of_error(error: str, code: int, server: str, sender: str, *, what: str) -> Message:
    """The message of a run that did not begin; ``what`` it is, ``server`` its address if that is known."""
    blocks = [[_heading(f"No {what} ran."), *_origin(server, sender, code)], _error(error)]
    return _made(_title(server, meaning(code)), blocks, "failure" if is_failure(code) else "info")


# -- forms
@dataclass(frozen=True, slots=True)
class _Style:
    """How a form writes what it is made of."""

    text: Callable[[object], str]
    strong: Callable[[str], str]
    heading: Callable[[str], str]
    """A line above a list."""
    link: Callable[[str, str], str]


def _uncalled(value: object) -> str:
    """Text in which nothing mentions anyone: an invisible blank follows each ``@``."""
    return plain(value).replace("@", "@\u200b")


def _in_markdown(value: object) -> str:
    return str(escaped(_uncalled(value)))


_MARKDOWN = _Style(
    _in_markdown,
    lambda text: f"**{_in_markdown(text)}**",
    lambda text: f"**{_in_markdown(text)}**\n",
    lambda name, address: f"[{_in_markdown(name)}]({link_target(address)})" if address else _in_markdown(name),
)
_TEXT = _Style(
    _uncalled,
    _uncalled,
    _uncalled,
    lambda name, address: f"{_uncalled(name)} ({address})" if address else _uncalled(name),
)


def _made(title: str, blocks: Iterable[list[Line]], kind: Kind) -> Message:
    filled = [block for block in blocks if block]
    return Message(_uncalled(title), _fitting(filled, _MARKDOWN), _fitting(filled, _TEXT), kind)


def _fitting(blocks: list[list[Line]], style: _Style) -> str:
    """The lines that fit, with an empty one between blocks, and how many don't."""
    lines = [line for block in blocks for line in (*(one(style) for one in block), "")][:-1]
    whole = "\n".join(lines)
    if len(whole) <= LONGEST:
        return whole
    room, kept = LONGEST - len(_more(len(lines))) - 2, list[str]()
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    left = sum(1 for line in lines[len(kept) :] if line)
    return "\n".join([*kept, "", _more(left)])


def _more(lines: int) -> str:
    return f"… and {counted(lines, 'more line')}: the log has everything."


def _heading(text: str) -> Line:
    return lambda style: style.heading(text)


def _item(text: str) -> Line:
    return lambda style: f"- {style.text(text)}"


def _linked(name: str, address: str, rest: str) -> Line:
    return lambda style: f"- {style.link(middle(plain(name), NAME), address)}{style.text(rest)}"


def _short(text: str, length: int = DETAIL) -> str:
    """Secrets are out of it before it is cut."""
    return middle(plain(text), length)


# -- what is said
def _title(server: str, what: str, *, dry_run: bool = False) -> str:
    host = (urlsplit(server).hostname or server) if "://" in server else server
    at = f" on {_short(host, NAME)}" if host else ""
    return f"ClearML Cleanup{at}{' (dry run)' if dry_run else ''}: {what}"


def _done(report: Report) -> str:
    """What became of how many tasks: ``4 tasks deleted, 2 archived, 3 announced``."""
    of_stage = Counter[Stage]()
    for entry in report.stages.values():
        of_stage[entry.stage] += entry.done
    counts = {
        "deleted": report.total().tasks,
        "archived": of_stage[Stage.ARCHIVE],
        "slimmed": of_stage[Stage.SLIM],
        "announced": sum(entry.noticed for entry in report.stages.values()),
    }
    (first, number), *others = [pair for pair in counts.items() if pair[1]] or [("", 0)]
    if not number:
        return "nothing to delete" if not report.policies else "nothing to do"
    would = "would be " if report.dry_run else ""
    return ", ".join([f"{counted(number, 'task')} {would}{first}", *(f"{count:,} {name}" for name, count in others)])


def _origin(server: str, sender: str, code: int) -> Iterator[Line]:
    if server:
        yield _item(f"server: {_short(server)}")
    yield _item(f"release: {_short(sender)}")
    yield _item(f"exit code: {code}, {meaning(code)}")


def _facts(report: Report, sender: str) -> list[Line]:
    began = _item(f"began: {moment(report.started.isoformat())}; took {duration(seconds(report))}")
    facts = [_heading(headline(report)), *_origin(report.server, sender, report.exit_code), began]
    if report.run and (address := _web(report, f"projects/*/experiments/{report.run}/output/log")):
        facts.append(_linked("its run in ClearML", address, ""))
    return facts


def _error(error: str) -> list[Line]:
    return [lambda style: f"{style.strong('Error:')} {style.text(_short(error, ERROR))}"] if error else []


def _about_end(report: Report) -> Iterator[list[Line]]:
    yield _error(report.error)
    if report.unfinished:
        yield [_item(f"{left_over(report.left, report.stopped_by, at_least=report.left_is_least)}.")]
    elif report.stopped_by:
        yield [_item(f"It ended early: {report.stopped_by.text}.")]


def _failed(report: Report) -> Iterator[list[Line]]:
    for entry in by_weight(report):
        if entry.failed:
            yield _with_examples(report, f"{_of_reason(entry)}:", entry.count, entry.examples)


def _of_reason(entry: ReasonSum) -> str:
    verdict = verdict_of(entry)
    became = f" {VERDICT_NAMES[verdict]}" if verdict else ""
    return f"{counted(entry.count, 'task')}{became}: {'it' if entry.count == 1 else 'each'} {REASON_TEXTS[entry.reason]}"


def _example(report: Report, outcome: TaskOutcome) -> Line:
    due = f" on {outcome.due:%Y-%m-%d}" if outcome.due and outcome.verdict in NOTICES else ""
    detail = f"{due}: {_short(outcome.detail)}" if outcome.detail else due
    address = link(report, outcome.task, outcome.project_id)
    return _linked(outcome.name or outcome.task, address, f" in {_short(outcome.project, NAME) or 'no project'}{detail}")


def _announced(report: Report) -> Iterator[list[Line]]:
    """What will be done next, and when: the soonest first."""
    noticed = [entry for entry in report.stages.values() if entry.noticed and entry.soonest is not None]
    for entry in sorted(noticed, key=lambda entry: (entry.soonest, entry.policy)):
        examples = [outcome for outcome in entry.examples if outcome.verdict in NOTICES and outcome.due is not None]
        examples.sort(key=lambda outcome: outcome.due or datetime.max.replace(tzinfo=UTC))
        will = "would be announced to be" if report.dry_run else "will be"
        what = f"{counted(entry.noticed, 'task')} {will} {_PAST[entry.stage]} by policy {_short(entry.policy, NAME)}"
        yield _with_examples(report, f"{what}, the first on {entry.soonest:%Y-%m-%d}:", entry.noticed, examples)


def _by_policy(report: Report) -> Iterator[list[Line]]:
    """What was done now. What was deleted is listed by project."""
    would = "would be " if report.dry_run else ""
    for entry in sorted(report.stages.values(), key=lambda entry: (list(Stage).index(entry.stage), entry.policy)):
        if entry.done:
            by = f"by policy {_short(entry.policy, NAME)}{_freed(entry)}"
            what = f"{counted(entry.done, 'task')} {would}{_PAST[entry.stage]} {by}"
            examples = [outcome for outcome in entry.examples if outcome.verdict not in NOTICES]
            deleted = entry.stage is Stage.DELETE
            yield [_item(f"{what}.")] if deleted else _with_examples(report, f"{what}:", entry.done, examples)


def _freed(entry: StageSum) -> str:
    if entry.stage is Stage.ARCHIVE:
        return ""
    return f", with {counted(entry.models, 'model')} and {counted(entry.files, 'file')} ({size(entry.bytes)})"


def _with_examples(report: Report, what: str, number: int, examples: list[TaskOutcome]) -> list[Line]:
    shown = [_example(report, outcome) for outcome in examples[:EXAMPLES]]
    more = number - len(shown)
    return [_heading(what), *shown, *([_item(f"and {more:,} more")] if more else [])]


def _projects(report: Report) -> list[Line]:
    rows = [(key, row) for key, row in report.largest_projects() if row.tasks or row.failed]
    if not rows:
        return []
    more = sum(1 for row in report.projects.values() if row.tasks or row.failed) - len(rows[:PROJECTS])
    return [
        _heading("By project:"),
        *(_project(report, key, row) for key, row in rows[:PROJECTS]),
        *([_item(f"and {counted(more, 'more project')}")] if more > 0 else []),
    ]


def _project(report: Report, key: str, row: ProjectSum) -> Line:
    gone = row.name in report.emptied
    address = "" if gone or not key else _web(report, f"projects/{key}/experiments")
    known = f" ({at_least(row.bytes, row.unsized)})" if row.bytes or row.unsized else ""
    deleted = f"{counted(row.tasks, 'task')}, {counted(row.models, 'model')} and {counted(row.files, 'file')}{known}"
    others = "".join(f"; {number:,} {name}" for number, name in ((row.kept, "kept"), (row.failed, "failed")) if number)
    verb = "would be deleted" if report.dry_run else "deleted"
    return _linked(row.name or "(no project)", address, f": {deleted} {verb}{others}")


def _kept(report: Report) -> list[Line]:
    kept = [entry for entry in by_weight(report) if not entry.failed]
    lines = [_item(_of_reason(entry)) for entry in kept[:OTHERS]]
    more = sum(entry.count for entry in kept[OTHERS:])
    return [*lines, *([_item(f"and {counted(more, 'more task')} for other reasons")] if more else [])]


def _remarks(report: Report) -> list[Line]:
    stores = [
        _item(f"unknown store {_short(address)}: {counted(files, 'file')}; see {store_setting(_short(address))}")
        for address, files in report.unknown_stores.most_common(OTHERS)
    ]
    left_out = [_item(_short(waiting(entry))) for entry in report.left_out[:OTHERS]]
    warnings = [_item(f"warning: {_short(text)}") for text in report.warnings[:OTHERS]]
    more = report.warned - len(warnings)
    return [*stores, *left_out, *warnings, *([_item(f"and {counted(more, 'more warning')}")] if warnings and more else [])]


def _web(report: Report, path: str) -> str:
    """An address in ClearML's web server; empty if that is unknown."""
    if not report.web.startswith(("http://", "https://")):
        return ""
    return quote(plain(f"{report.web}/{path}"), safe=LINK_SAFE)
