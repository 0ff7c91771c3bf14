"""Explanations of tasks on a terminal."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cleanup_job.planning.explanation import Explained, Files, Holder, ModelFate, Need, Place, Remains, State
from cleanup_job.planning.judgement import moment
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import GONE, NOTICES, REASON_TEXTS, STAGED, Reason, TaskOutcome, Verdict
from cleanup_job.planning.records import Task, Unreadable
from cleanup_job.report.explanation_document import Link
from cleanup_job.report.formatting import at_least, counted, days, plain
from cleanup_job.report.outlook_text import policy_lines, stage_lines
from cleanup_job.report.phrases import store_hint, store_setting

SHOWN = 10
"""Files, models and other records of one kind that are named on a terminal; JSON has more."""
LONGEST = 66
"""Characters of an address on a terminal: a longer one is cut in its middle. JSON has all of it."""
_NEEDS = {
    Need.USES_MODEL: "uses its model {what}",
    Need.LISTS_MODEL: "lists its model {what} as an output",
    Need.NAMES_FILE: "names {what}",
    Need.WRITES_HERE: "writes to {what}",
    Need.CONTROLLER: "is the controller of its pipeline: a step is kept as long as that is",
    Need.STEP: "is a step of this pipeline",
    Need.CHILD: "is a child of it",
    Need.BUILT_ON: "is a dataset version that can't be read without this one",
    Need.USED_DATASET: "used this dataset version",
}
_STATES = {
    State.GOES_FIRST: "would be deleted first",
    State.ARCHIVED: "archived",
    State.LIVING: "not archived",
    State.UNREADABLE: "can't be read",
    State.GONE: "not on the server any more",
    State.MODEL: "",
}


def render(one: Explained, now: datetime, link: Link, console: Console) -> None:
    """Print one explanation. Only ``Text`` is printed, never markup: names come from the server."""
    console.print(_title(one))
    address = link(one.id, one.task.project) if one.task is not None else ""
    if address:
        console.print(Text(plain(address), "dim"), soft_wrap=True)
    console.print(_verdict(one))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="bold")
    grid.add_column(overflow="fold")
    for name, lines in _sections(one, now):
        if lines:
            grid.add_row(name, Group(*lines))
    console.print(grid)
    console.print()


def _title(one: Explained) -> Text:
    if one.task is None:
        return Text(f"Task {one.id}", "bold")
    prefix = "" if one.asked else "Its controller: "
    name = Text(f"{prefix}{plain(one.task.name) or '(no name)'}", "bold")
    return Text.assemble(name, " ", (one.id, "dim"), f" in {plain(one.project) or '(no project)'}")


def _verdict(one: Explained) -> Text:
    """What a pass does, in one sentence."""
    if one.task is None:
        return Text(_why_gone(one.remains), "yellow")
    outcome = one.outcome
    if outcome is None:
        return Text(f"What a pass would do is not known. {plain(one.trouble)}".rstrip(), "red")
    if outcome.verdict in GONE | STAGED:
        return Text(f"A pass {_done(outcome)} now{f', with {_with(outcome)}' if outcome.verdict in GONE else ''}.", "green")
    if outcome.verdict is Verdict.GONE_ALREADY:
        return Text("It was deleted by someone else right now.", "yellow")
    if outcome.reason is Reason.NOT_SELECTED or outcome.reason is None:
        return Text(f"A pass leaves it alone: it {plain(outcome.detail)}.", "yellow")
    doing = "A pass fails with it" if outcome.verdict is Verdict.FAILED else "A pass keeps it"
    detail = f": {plain(outcome.detail)}" if outcome.detail else ""
    return Text(f"{doing}: it {REASON_TEXTS[outcome.reason]}{detail}.", "yellow")


def _done(outcome: TaskOutcome) -> str:
    if outcome.verdict in NOTICES:
        day = f" for {outcome.due:%Y-%m-%d}" if outcome.due is not None else ""
        return f"announces its next stage{f' ({outcome.stage})' if outcome.stage else ''}{day}"
    return {Stage.ARCHIVE: "archives it", Stage.SLIM: "slims it"}.get(outcome.stage or Stage.DELETE, "deletes it")


def _with(outcome: TaskOutcome) -> str:
    known = f" ({at_least(outcome.bytes, outcome.unsized)})" if outcome.files else ""
    return f"{counted(outcome.models, 'model')} and {counted(outcome.files, 'file')}{known}"


def _sections(one: Explained, now: datetime) -> Iterator[tuple[str, Sequence[RenderableType]]]:
    if one.remains is not None:
        yield from _of_remains(one.remains)
    if isinstance(one.task, Unreadable):
        yield "Record", [Text(f"{plain(one.task.field)} can't be read", "red")]
    if not isinstance(one.task, Task):
        return
    yield "Task", list(_record(one, one.task))
    yield "Age", list(_age(one.task, now))
    yield (
        "Rules",
        [
            Text.assemble(("yes  ", "green") if rule.allows else ("no   ", "yellow"), plain(rule.text))
            for rule in one.judgements
        ],
    )
    if one.outlook is not None:
        yield "Policy", list(policy_lines(one.outlook))
        yield "Stages", list(stage_lines(one.outlook, now))
    yield "Due", list(_due(one, now))
    if one.trouble and one.outcome is not None:
        yield "Trouble", [Text(plain(one.trouble), "red")]
    if one.files is not None:
        yield "Files", list(_files(one.files)) or [Text("none that its records name", "dim")]
    yield "Models", list(_models(one.models))
    yield "Others", list(_others(one.holders, one.counts))


def _record(one: Explained, task: Task) -> Iterator[Text]:
    facts = [
        task.status,
        task.type,
        f"of user {one.owner}" if one.owner else "",
        "archived" if task.archived else "not archived",
    ]
    yield Text(plain(", ".join(filter(None, facts))))
    if task.tags:
        yield Text(plain(f"tags {', '.join(task.tags)}"))


def _age(task: Task, now: datetime) -> Iterator[Text]:
    if task.active is None:
        yield Text("unknown: its record has no time")
        return
    yield Text(f"{days(now - task.active)}, since {moment(task.active)}, when {_counted_by(task)}")
    times = {"created": task.created, "last update": task.last_update, "last change": task.last_change}
    yield from (Text(f"{name} {moment(time)}", "dim") for name, time in times.items())


def _counted_by(task: Task) -> str:
    if task.active == task.last_update and task.active != task.status_changed:
        return "it last reported"
    return "its status last changed" if task.active == task.status_changed else "it was created"


def _due(one: Explained, now: datetime) -> Iterator[Text]:
    if one.due is not None:
        ago = now - one.due
        since = f"since {moment(one.due)}, for {days(ago)}" if ago >= timedelta() else f"{moment(one.due)}, in {days(-ago)}"
        yield Text(since)
        if one.outcome is not None and one.outcome.verdict not in GONE and ago >= timedelta():
            yield Text("by the rules alone: something else keeps it, see above", "dim")
    else:
        yield Text(_no_due(one))
    if one.due_if_archived is not None:
        then = max(one.due_if_archived, now)
        when = "at once" if then == now else f"{moment(then)}, in {days(then - now)}"
        yield Text(f"if someone archives it now: {when}")


def _no_due(one: Explained) -> str:
    if one.outcome is not None and one.outcome.verdict in GONE:
        return "now, with its controller"
    if one.outlook is not None and any(event.stage is Stage.DELETE for event in one.outlook.events):
        return "not as long as it is not archived, which its policy does: see its stages"
    return "never, as long as a rule says no that does not depend on time"


def _files(files: Files) -> Iterator[Text]:
    yield from _places(files.places)
    yield from _uris("kept, since others need them:", "yellow", files.protected, len(files.protected))
    for address, count in list(files.unknown_stores.items())[:SHOWN]:
        yield Text.assemble(("unknown store ", "yellow"), f"{plain(address)}: {counted(count, 'file')}")
        yield Text(f"{store_hint(address)}: {plain(store_setting(address))}", "dim")
    yield from _more(len(files.unknown_stores) - SHOWN)
    if files.unusable:
        yield Text.assemble(("not a usable path: ", "red"), plain(files.unusable))
    if files.unreadable:
        yield Text.assemble(("can't be read: ", "red"), plain(files.unreadable))
    yield from _uris("elsewhere, and only linked:", "dim", files.external, files.external_count)


def _uris(heading: str, style: str, uris: Sequence[str], total: int) -> Iterator[Text]:
    """Addresses below a heading; nothing if there are none."""
    if not total:
        return
    yield Text(heading, style)
    yield from (Text(f"  {_cut(uri)}") for uri in uris[:SHOWN])
    yield from _more(total - len(uris[:SHOWN]))


def _cut(uri: str) -> str:
    """An address without its middle if it is long: both ends tell what it is."""
    text = plain(uri)
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 3]}…{text[LONGEST // 3 + 1 - LONGEST :]}"


def _places(places: Sequence[Place]) -> Iterator[Text]:
    """Each folder, and what is in it below."""
    before = ""
    for place in places[:SHOWN]:
        where = f"{plain(place.store).rstrip('/')}/{plain(place.path)}"
        if where != before:
            yield Text(where)
        before = where
        yield Text.assemble("  ", (f"{place.kind} " if place.kind else ""), _found(place))
    yield from _more(len(places) - SHOWN)


def _found(place: Place) -> Text:
    if place.trouble:
        return Text(plain(place.trouble), "red")
    if place.missing:
        return Text("is not there", "dim")
    return Text(f"{counted(place.size.files, 'file')}, {at_least(place.size.bytes, place.size.unsized)}")


def _models(models: Sequence[ModelFate], *, there: bool = True) -> Iterator[Text]:
    for model in models[:SHOWN]:
        fate = ("would be kept: " + model.kept, "yellow") if model.kept else ("would be deleted with it", "")
        yield Text.assemble(f"{plain(model.id)} ", fate if there else "is still there")
        yield Text(f"  {_cut(model.uri)}", "dim")
    yield from _more(len(models) - SHOWN)


def _others(holders: Sequence[Holder], counts: Mapping[Need, int]) -> Iterator[Text]:
    for need in Need:
        some = [holder for holder in holders if holder.need is need][:SHOWN]
        for holder in some:
            kind = "model" if holder.state is State.MODEL else "task"
            name = f" {plain(holder.name)}" if holder.name else ""
            state = f" ({_STATES[holder.state]})" if _STATES[holder.state] else ""
            does = _NEEDS[need].format(what=_cut(holder.what))
            yield Text.assemble(f"{kind}{name} ", (plain(holder.by) or "(its id can't be read)", "dim"), f"{state} {does}")
        yield from _more(counts.get(need, 0) - len(some))


def _more(number: int) -> Iterator[Text]:
    if number > 0:
        yield Text(f"and {number:,} more", "dim")


# -- a task that is gone
def _why_gone(remains: Remains | None) -> str:
    if remains is None or not remains.confirmed:
        return "The server does not list a task with this ID. This key may not be allowed to see it."
    if any(one.get("verdict") == Verdict.DELETED for one in remains.deletions):
        return "The server has no task with this ID any more: it was deleted, as an audit log says."
    return "The server has no task with this ID: it was deleted, or never was on this server, or this key may not see it."


def _of_remains(remains: Remains) -> Iterator[tuple[str, Sequence[RenderableType]]]:
    yield "Audit log", list(_deletions(remains))
    yield "Models", list(_models(remains.models, there=False))
    if remains.searched:
        where = ", ".join(map(plain, remains.searched))
        yield "Files", list(_places(remains.places)) or [Text(f"none in {where}")]
    else:
        yield (
            "Files",
            [Text("not looked for: only mounted folders (CLEANUP_MOUNTED_FOLDERS) can be searched by a task's ID", "dim")],
        )


def _deletions(remains: Remains) -> Iterator[Text]:
    if not remains.logs:
        yield Text("none was read: CLEANUP_AUDIT, or --audit, names where they are", "dim")
        return
    for one in remains.deletions[:SHOWN]:
        yield Text(plain(one["text"]))
    yield from _more(len(remains.deletions) - SHOWN)
    if not remains.deletions:
        yield Text(f"nothing of it in {counted(remains.logs, 'log')}")
