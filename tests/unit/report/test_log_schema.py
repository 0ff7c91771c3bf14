"""docs/log-schema.md and the log say the same: every field, with its type."""

import json
import re
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from cleanup_job.exit_codes import StopReason
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import LeftOut, Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.sweep_outcome import Orphan, OrphanVerdict, SweepReport
from cleanup_job.report import json_lines, sweep

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "log-schema.md").read_text(encoding="utf-8")
MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
STORES = (("s3://bucket", 2),)
TYPES: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "object": (dict,),
    "list of strings": (list,),
    "list of objects": (list,),
}


def documented(section: str) -> dict[str, str]:
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", section, re.MULTILINE))


def with_policies(section: str) -> dict[str, str]:
    """The fields that are only there with policies."""
    return documented(section.partition("Only with `CLEANUP_POLICIES`")[2])


def lines(*, known: bool, policies: bool) -> dict[str, dict[str, Any]]:
    """A line of each event as a reader gets it, with and without the values that can be null."""
    report = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    reason, verdict = (Reason.UNKNOWN_STORE, Verdict.KEPT) if known else (None, Verdict.DELETED)
    outcome = TaskOutcome(
        TaskId("t" * 32), "n", "p", "i", verdict, reason, protected=("u",), unknown_stores=STORES, rule="p=7" if known else "",
        user="u" if known else "", status="created" if known else "", active=MOMENT if known else None,
        policy="playground" if policies else "", stage=Stage.SLIM if known and policies else None,
        due=MOMENT if known and policies else None,
    )  # fmt: skip
    report.add(outcome)
    report.policies = "1f2e" if policies else ""
    if known:
        report.web, report.error, report.stopped_by, report.finished = "https://web", "e", StopReason.SIGTERM, MOMENT
        report.audit, report.audit_hash = "/audit/log.jsonl", "0" * 64
        report.run, report.shard, report.shards, report.left_is_least = "r", 1, 4, True
        report.left_out = [LeftOut(2, "archived tasks past the threshold are not drafts", "CLEANUP_FORCE_DELETE=true")]
    some = "x" if known else None
    swept = SweepReport("1.0", "host", delete=False, started=MOMENT, finished=MOMENT)
    if known:
        swept.error, swept.stopped_by = "e", StopReason.SIGTERM
    made = (
        json_lines.parameters([("CLEANUP_FORCE_DELETE", "True", "default")]),
        after(json_lines.not_due("n", last=some, due=some, run=some), known=known),
        after(json_lines.enqueued("e", "t", "services", 1 if known else None), known=known),
        json_lines.pass_started(report),
        json_lines.expected(1 if known else None),
        json_lines.selected(1),
        json_lines.task(outcome, report),
        json_lines.progress(1, 3 if known else None, 2.0),
        json_lines.plan("p"),
        json_lines.debug("d"),
        json_lines.warning("w"),
        json_lines.project("p", dry_run=known),
        json_lines.pass_finished(report),
        sweep.orphan_line(Orphan("s3://b", "p", outcome.task, OrphanVerdict.FOUND, 1, 2, MOMENT if known else None)),
        sweep.finished_line(swept),
    )
    return {str(line["event"]): json.loads(json_lines.dumps(line)) for line in made}


def after(line: json_lines.Line, *, known: bool) -> json_lines.Line:
    return json_lines.after_run(line, {"run": "r"}, 7) if known else line


def fits(value: object, type_: str) -> bool:
    if value is None:
        return type_.endswith(" or null")
    return type(value) in TYPES[type_.removesuffix(" or null")]


def test_every_field_of_every_event_is_documented_with_its_type_and_every_documented_one_is_logged() -> None:
    common, *sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    for known, policies in product((True, False), repeat=2):
        made = lines(known=known, policies=policies)
        assert [section.split("\n")[0] for section in sections] == list(made)
        for section in sections:
            line = made[section.split("\n")[0]]
            fields = documented(common) | documented(section)
            if not policies:
                fields = {name: type_ for name, type_ in fields.items() if name not in with_policies(section)}
            assert fields.keys() == line.keys()
            assert not [name for name, type_ in fields.items() if not fits(line[name], type_)]


def test_fields_that_the_page_calls_nullable_can_be_null() -> None:
    known, unknown = lines(known=True, policies=True), lines(known=False, policies=True)
    nullable = {name for name, type_ in documented(PAGE).items() if type_.endswith("or null")}
    seen = {name for line in unknown.values() for name, value in line.items() if value is None}
    assert nullable == seen
    assert not [name for line in known.values() for name, value in line.items() if value is None]


def test_every_word_of_a_closed_list_is_documented() -> None:
    for word in (*Reason, *Verdict, *StopReason, *OrphanVerdict):
        assert f"`{word}`" in PAGE


def test_a_pass_that_did_its_part_is_no_error_and_one_that_could_not_start_is() -> None:
    report = Report("1.0", dry_run=False, started=MOMENT, cutoff=MOMENT)
    levels = {}
    for code in (0, 1, 2, 3, 4, 5, 130, 143):
        report.exit_code = code
        levels[code] = json_lines.pass_finished(report)["level"]
    assert levels == {0: "info", 1: "error", 2: "error", 3: "warning", 4: "error", 5: "error", 130: "warning", 143: "warning"}
