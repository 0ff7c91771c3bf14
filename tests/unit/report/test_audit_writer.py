"""What an audit log holds, and that nothing follows a line that could not be written."""

import errno
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cleanup_job.errors import AnswerError, AuditError
from cleanup_job.planning.deletion import Deletion
from cleanup_job.planning.lifecycle.policy import Stage
from cleanup_job.planning.outcome import Reason, Report, TaskOutcome, Verdict
from cleanup_job.planning.paths import LinkedFile, ModelId, PartOfFolder, TaskFile, TaskFolder, TaskId
from cleanup_job.planning.records import Model, Project, Task
from cleanup_job.report.audit_log import Wanted, find, look
from cleanup_job.report.audit_text import facts
from cleanup_job.report.audit_writer import LARGE, PIECE, AuditLog, Who

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ONE, OTHER = (TaskId(digit * 32) for digit in "ab")


@dataclass
class Memory:
    """A place that fails after so many calls."""

    room: int = 1_000_000
    data: bytearray = field(default_factory=bytearray)
    calls: list[tuple[int, bool]] = field(default_factory=list)
    name: str = "memory"

    def append(self, data: bytes, *, lasting: bool) -> None:
        self.calls.append((len(data), lasting))
        if len(self.calls) > self.room:
            self.data += data[: len(data) // 2]
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.data += data

    def close(self) -> None:
        return

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.data.splitlines()]

    def log(self) -> Any:
        return "memory", lambda: io.BytesIO(bytes(self.data))


def begun(place: Memory) -> AuditLog:
    log = AuditLog(place, "/audit")
    log.begin("pass", Who(version="1.0", server="http://api", user="u1", user_name="Ann", host="pod"), NOW, [("A", "1")])
    return log


def planned(task: TaskId = ONE, files: int = 0) -> tuple[Deletion, TaskOutcome, list[str]]:
    folder = TaskFolder("fileserver", f"lab/exp?a=1.{task}", task)
    deletion = Deletion(
        Task(task, "exp #1 token=abcdefgh", "completed", user="u2", project="p", last_update=NOW),
        (task,),
        paths=(folder, PartOfFolder(folder, ("models/kept.pt",)), *(TaskFile(folder, f"x/{n}") for n in range(files + 1))),
        linked=(LinkedFile("fileserver", "in/raw.csv"),),
        models=(Model(ModelId("m"), "http://files/x?sig=secretsecret", task),),
    )
    return deletion, TaskOutcome(task, "exp", "lab", "p", Verdict.DELETED, rule="lab=7"), ["is archived"]


def test_everything_that_is_deleted_is_in_the_line_and_no_secret() -> None:
    place = Memory()
    begun(place).before([planned(files=500)])
    line = place.lines[1]
    folder = f"lab/exp?a=1.{ONE}"
    assert line["paths"][:2] == [
        {"store": "fileserver", "folder": folder},
        {"store": "fileserver", "folder": folder, "except": ["models/kept.pt"]},
    ]
    assert [path["file"] for path in line["paths"][2:]] == [f"{folder}/x/{n}" for n in range(501)]
    assert line["linked"] == [{"store": "fileserver", "file": "in/raw.csv"}]
    assert line["models"][0]["uri"] == "http://files/x"
    assert (line["project"], line["user"], line["setting"], line["rule"]) == ("lab", "u2", "threshold_rules", "lab=7")
    assert line["why"] == ["is archived"]
    assert b"secretsecret" not in place.data
    assert b"abcdefgh" not in place.data


def test_lines_before_a_deletion_last_and_those_after_it_need_not() -> None:
    place = Memory()
    log = begun(place)
    log.record(ONE, b'{"id": "x", "hyperparams": {"Args": {"lr": {"value": "0.1"}}}}')
    log.before([planned(), planned(OTHER)])
    log.after([planned()[1], planned(OTHER)[1]])
    log.before_project(Project("p", "lab"))
    log.after_project(Project("p", "lab"), "")
    log.end(Report("1.0", False, NOW, NOW), "")
    assert [lasting for _, lasting in place.calls] == [True, False, True, False, True, False, True]
    assert [line["event"] for line in place.lines] == [
        "begin", "record", "delete", "delete", "deleted", "deleted", "delete_project", "project_deleted", "end",
    ]  # fmt: skip
    looked = look(place.log(), Wanted(frozenset({ONE}), records=True))
    assert (looked.lines, looked.ended, looked.problem, looked.deletions, looked.confirmed) == (9, True, "", 3, 3)
    assert [(one.verdict, one.record) for one in looked.found] == [
        ("deleted", {"id": "x", "hyperparams": {"Args": {"lr": {"value": "0.1"}}}})
    ]


def at_a_stage(verdict: Verdict, stage: Stage, **more: Any) -> tuple[Task, TaskOutcome, list[str], list[str]]:
    task = Task(ONE, "exp #1 token=abcdefgh", "completed", user="u2", project="p", tags=("cleanup:archived=2026-10-01",))
    outcome = TaskOutcome(ONE, "exp", "lab", "p", verdict, policy="playground", stage=stage, **more)
    return task, outcome, ["is past 14d (archive.after)"], []


STAGED = {
    "archive": at_a_stage(Verdict.ARCHIVED, Stage.ARCHIVE),
    "slim": at_a_stage(Verdict.SLIMMED, Stage.SLIM, files=1, bytes=7),
    "notice": at_a_stage(Verdict.NOTICED, Stage.DELETE, due=datetime(2026, 12, 5, tzinfo=UTC)),
}


@pytest.mark.parametrize(("event", "after"), [("archive", "archived"), ("slim", "slimmed"), ("notice", "noticed")])
def test_what_policies_do_has_a_line_before_and_one_after(event: str, after: str) -> None:
    place = Memory()
    log = begun(place)
    task, outcome, why, _ = STAGED[event]
    uri = f"http://files:8081/lab/exp.{ONE}/artifacts/a%20b.pkl"
    log.before_stage([(task, outcome, why, [uri, "s3://bucket/x?sig=secretsecret"])])
    log.after([outcome])
    log.after([planned()[1]])
    _, before, done, other = place.lines
    assert [lasting for _, lasting in place.calls] == [True, True, False, False]
    assert (before["event"], done["event"], other["event"]) == (event, after, "deleted")
    assert (before["policy"], before["stage"], before["why"]) == ("playground", outcome.stage, why)
    assert before["tags"] == ["cleanup:archived=2026-10-01"]
    assert before["uris"] == [uri, "s3://bucket/x"]
    assert b"abcdefgh" not in place.data
    looked = look(place.log(), Wanted(frozenset({ONE}), files=(f"lab/exp.{ONE}/artifacts/a b.pkl",)))
    assert (looked.deletions, looked.changes, looked.problem) == (0, 1, "")
    (found,) = looked.found
    assert found.verdict == outcome.verdict
    shown = list(facts(found))
    assert ("policy", "playground") in shown
    assert ("removes", uri) in shown
    assert (("notice", "delete from 2026-12-05 on") in shown) is (event == "notice")


def test_a_task_that_is_kept_at_its_stage_has_the_line_of_that_stage() -> None:
    place = Memory()
    log = begun(place)
    task, outcome, why, uris = STAGED["slim"]
    log.before_stage([(task, outcome, why, uris)])
    log.after([TaskOutcome(ONE, "exp", "lab", "p", Verdict.KEPT, Reason.CHANGED)])
    assert [(line["event"], line.get("verdict")) for line in place.lines[1:]] == [("slim", None), ("slimmed", "kept")]


@pytest.mark.parametrize(
    ("file", "is_found"),
    [
        (f"http://files:8081/lab/exp.{ONE}/artifacts/a%20b.pkl", True),
        (f"lab/exp.{ONE}/artifacts/a b.pkl", True),
        (f"lab/exp.{ONE}/artifacts/a b.pkl.bak", False),
        (f"http://files:8081/lab/exp.{ONE}/metrics/loss/1.png", True),
        (f"http://files:8081/lab/exp.{ONE}/metrics2/1.png", False),
    ],
)
def test_a_file_that_slimming_removed_is_found_by_its_uri_or_path(file: str, is_found: bool) -> None:
    place = Memory()
    task, outcome, why, _ = STAGED["slim"]
    folder = f"http://files:8081/lab/exp.{ONE}"
    begun(place).before_stage([(task, outcome, why, [f"{folder}/artifacts/a%20b.pkl", f"{folder}/metrics"])])
    assert bool(look(place.log(), Wanted(files=(file,))).found) is is_found


def test_the_last_line_sums_up_what_policies_did() -> None:
    place = Memory()
    report = Report("1.0", False, NOW, NOW, policies="1f2e")
    for _, outcome, *_ in STAGED.values():
        report.add(outcome)
    begun(place).end(report, "")
    last = place.lines[-1]
    assert (last["policies"], last["stages"], last["noticed"]) == ("1f2e", {"archive": 1, "slim": 1, "delete": 0}, 1)


def test_without_policies_no_line_says_anything_of_them() -> None:
    place = Memory()
    log = begun(place)
    log.before([planned()])
    log.end(Report("1.0", False, NOW, NOW), "")
    assert all({"policy", "policies", "stages", "noticed"}.isdisjoint(line) for line in place.lines)
    deletion, outcome, why = planned(OTHER)
    log.before([(deletion, replace(outcome, policy="playground", stage=Stage.DELETE), why)])
    assert (place.lines[-1]["setting"], place.lines[-1]["policy"]) == ("policies", "playground")


def test_lines_of_any_length_are_written_in_pieces() -> None:
    place = Memory()
    log = begun(place)
    log.before([planned(files=20_000), planned(OTHER)])
    assert [lasting for _, lasting in place.calls] == [True, False, True]
    assert place.calls[1][0] > PIECE
    assert look(place.log(), Wanted()).problem == ""


def test_after_a_failure_nothing_more_is_written_and_the_message_names_the_way_out() -> None:
    place = Memory(room=1)
    log = begun(place)
    with pytest.raises(
        AuditError, match=r"CLEANUP_AUDIT=/audit: the lines of 1 task could not .*memory \(No space left"
    ) as error:
        log.before([planned()])
    assert error.value.exit_code == 4
    size = len(place.data)
    for again in (lambda: log.after([planned()[1]]), lambda: log.before_project(Project("p", "lab")), log.close):
        if again == log.close:
            log.close()
        else:
            with pytest.raises(AuditError):
                again()
    assert len(place.data) == size
    looked = look(place.log(), Wanted(frozenset({ONE})))
    assert (looked.lines, looked.torn, looked.ended, looked.problem, looked.found) == (1, True, False, "", [])


def test_a_record_that_can_not_be_read_is_the_tasks_own_trouble() -> None:
    place = Memory()
    log = begun(place)
    for record in (b'{"name": "\xff"}', b"[" * 5000 + b"]" * 5000):
        with pytest.raises(AnswerError, match=f"the record of task {ONE} can't be read"):
            log.record(ONE, record)
    log.before([planned(OTHER)])
    assert [line["event"] for line in place.lines] == ["begin", "delete"]


def test_a_large_record_is_copied_whole() -> None:
    place = Memory()
    log = begun(place)
    text = "x" * (LARGE + 1)
    log.record(ONE, json.dumps({"id": ONE, "configuration": {"a": {"value": text}}}).encode())
    log.before([planned()])
    (found,) = find([place.log()], ONE, record=True)
    assert found.record == {"id": ONE, "configuration": {"a": {"value": text}}}


def test_many_threads_write_one_chain() -> None:
    place = Memory()
    log = begun(place)

    def delete(n: int) -> None:
        task = TaskId(f"{n:032x}")
        log.before([planned(task)])
        log.after([planned(task)[1]])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(delete, range(200)))
    looked = look(place.log(), Wanted())
    assert (looked.lines, looked.problem, looked.confirmed) == (401, "", 200)


def test_a_deletion_without_a_result_is_unconfirmed() -> None:
    place = Memory()
    begun(place).before([planned()])
    assert [found.verdict for found in find([place.log()], ONE)] == ["unconfirmed"]
    assert find([place.log()], OTHER) == []


@pytest.mark.parametrize(
    ("file", "is_found"),
    [
        (f"http://files:8081/lab/exp%3Fa%3D1.{ONE}/artifacts/data/data.bin", True),
        (f"lab/exp?a=1.{ONE}/models/other.pt", True),
        (f"lab/exp?a=1.{ONE}", True),
        (f"lab/exp?a=1.{ONE}/x/0", True),
        (f"lab/exp?a=1.{ONE}/beside.txt", False),
        ("http://files:8081/in/raw.csv", True),
        ("http://files:8081/in/raw.csv2", False),
        ("http://files/x?sig=secretsecret", True),
        (f"lab/exp?a=1.{OTHER}/artifacts/a", False),
    ],
)
def test_a_file_is_found_by_its_uri_or_path(file: str, is_found: bool) -> None:
    place = Memory()
    begun(place).before([planned()])
    assert bool(look(place.log(), Wanted(files=(file,))).found) is is_found


def test_a_file_that_was_kept_in_a_folder_is_not_found() -> None:
    place = Memory()
    deletion, outcome, why = planned()
    part = Deletion(deletion.task, deletion.unit, paths=deletion.paths[1:2])
    begun(place).before([(part, outcome, why)])
    folder = f"lab/exp?a=1.{ONE}"
    assert not look(place.log(), Wanted(files=(f"{folder}/models/kept.pt",))).found
    assert look(place.log(), Wanted(files=(f"{folder}/models/gone.pt",))).found
