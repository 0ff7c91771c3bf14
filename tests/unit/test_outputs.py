"""What becomes of a URI: owned, external, on an unknown store, or unusable."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanup_job.outputs import External, Outputs, Owned, UnknownStore, Unusable, address_of, classify
from cleanup_job.paths import LinkedFile, TaskId
from cleanup_job.storage.fileserver import FileServer

TASK = TaskId("0123456789abcdef0123456789abcdef")
FILES = FileServer("http://clearml-fileserver:8081", ["https://files.example.org", "http://old:80/files/"], lambda: "")
FOLDER = f"team/proj/exp%20%231.{TASK}"


@pytest.mark.parametrize(
    "uri",
    [
        f"http://clearml-fileserver:8081/{FOLDER}/models/w.pt",
        f"HTTP://ClearML-Fileserver:8081/{FOLDER}/models/w.pt",
        f"https://files.example.org/{FOLDER}/models/w.pt",
        f"https://files.example.org:443/{FOLDER}/models/w.pt",
        f"http://old/files/{FOLDER}/models/w.pt",
        f"http://clearml-fileserver:8081//{FOLDER}/models/w.pt",
    ],
)
def test_the_fileserver_is_one_store_under_all_its_addresses(uri: str) -> None:
    found = classify(uri, TASK, FILES.locate)
    assert isinstance(found, Owned)
    assert found.file.folder.path == f"team/proj/exp #1.{TASK}"
    assert found.file.rest == "models/w.pt"


@pytest.mark.parametrize(
    "uri",
    [
        f"http://clearml-fileserver:80811/{FOLDER}/models/w.pt",
        f"http://clearml-fileserver/{FOLDER}/models/w.pt",
        f"https://clearml-fileserver:8081/{FOLDER}/models/w.pt",
        f"http://old/filesystem/{FOLDER}/models/w.pt",
        f"s3://bucket/{FOLDER}/models/w.pt",
        f"file:///mnt/{FOLDER}/models/w.pt",
        f"/mnt/{FOLDER}/models/w.pt",
    ],
)
def test_the_tasks_folder_on_another_store_is_unknown(uri: str) -> None:
    assert isinstance(classify(uri, TASK, FILES.locate), UnknownStore)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket/input/raw.csv",
        "http://clearml-fileserver:8081/elsewhere/input.bin",
        f"http://clearml-fileserver:8081/team/other.{'f' * 32}/models/w.pt",
        f"http://clearml-fileserver:8081/exp.{TASK}/models/w.pt",
        f"http://clearml-fileserver:8081/team/exp.{TASK}",
        f"http://clearml-fileserver:8081/team/exp.{TASK}x/models/w.pt",
        "http://clearml-fileserver:8081/",
        "http://clearml-fileserver:8081/..",
        ".",
        "",
        "https://[broken",
    ],
)
def test_everything_else_is_external(uri: str) -> None:
    assert isinstance(classify(uri, TASK, FILES.locate), External)


@pytest.mark.parametrize("tail", ["../../x/y", "a/%2e%2e/b", "a//b", "./a", "a/%00", "%ff"])
def test_a_path_that_can_be_read_in_two_ways_is_unusable(tail: str) -> None:
    assert classify(f"http://clearml-fileserver:8081/{FOLDER}/{tail}", TASK, FILES.locate) == Unusable()


def test_a_plus_is_a_plus_and_quoting_is_undone_once() -> None:
    found = classify(f"http://clearml-fileserver:8081/team/a+b.{TASK}/n%2541.bin", TASK, FILES.locate)
    assert isinstance(found, Owned)
    assert found.file.path == f"team/a+b.{TASK}/n%41.bin"


def test_addresses_of_stores_hold_no_password() -> None:
    assert address_of("s3://bucket/a/b") == "s3://bucket"
    assert address_of("http://user:hunter2@host:9000/a") == "http://host:9000"
    assert address_of("/mnt/a") == "file://"


def test_memory_does_not_grow_with_the_number_of_outputs() -> None:
    outputs = Outputs(TASK, FILES.locate)
    for n in range(3000):
        outputs.add(f"http://clearml-fileserver:8081/{FOLDER}/metrics/img/v/{n}.jpeg", 5)
        outputs.add(f"s3://bucket/raw/{n}")
        outputs.add(f"http://clearml-fileserver:8081/raw/{n}")
        outputs.add(f"http://clearml-fileserver:8081/{FOLDER}/../{n}")
    assert (outputs.count, outputs.bytes, outputs.external_count) == (3000, 15_000, 6000)
    assert (len(outputs.folders), len(outputs.files), len(outputs.external), len(outputs.linked)) == (1, 0, 20, 0)


def test_a_renamed_task_has_two_folders() -> None:
    outputs = Outputs(TASK, FILES.locate)
    outputs.add(f"http://clearml-fileserver:8081/team/old.{TASK}/a")
    outputs.add(f"http://clearml-fileserver:8081/team/new.{TASK}/b")
    assert {folder.path for folder in outputs.folders} == {f"team/old.{TASK}", f"team/new.{TASK}"}


def test_an_interrupted_upload_is_nobodys_file() -> None:
    outputs = Outputs(TASK, FILES.locate, links=frozenset({"fileserver"}))
    outputs.add("http://clearml-fileserver:8081/uploading_file")
    assert (outputs.external_count, outputs.linked) == (0, set())


def test_only_files_of_no_task_can_be_deleted_as_linked() -> None:
    outputs = Outputs(TASK, FILES.locate, links=frozenset({"fileserver"}))
    outputs.add("http://clearml-fileserver:8081/elsewhere/input.bin")
    outputs.add(f"http://clearml-fileserver:8081/team/other.{'f' * 32}/models/w.pt")
    assert outputs.linked == {LinkedFile("fileserver", "elsewhere/input.bin")}


PARTS = st.sampled_from(
    ["a", "b.pt", "", ".", "..", "%2e%2e", "n%41", "+", " ", f"x.{TASK}", f"x.{'f' * 32}", "é", "%", "\x00", "metrics", "?q#f"]
)
BASES = st.sampled_from(
    [
        f"http://clearml-fileserver:8081/{FOLDER}/",
        f"http://clearml-fileserver:8081/team/proj/exp #1.{TASK}/",
        f"https://files.example.org/{FOLDER}/",
        f"http://old/files/{FOLDER}/",
        "http://clearml-fileserver:8081/team/",
        f"s3://bucket/{FOLDER}/",
    ]
)


@given(
    st.lists(st.builds(lambda base, parts: base + "/".join(parts), BASES, st.lists(PARTS, min_size=1, max_size=4)), max_size=12)
)
@example([f"http://clearml-fileserver:8081/{FOLDER}/{rest}" for rest in ("a/b.pt", f"a/x.{TASK}/b.pt", "a/n%2541", "a//b.pt")])
def test_outputs_beside_each_other_are_what_each_is_alone(uris: list[str]) -> None:
    """What is known from one output of a folder never makes another one anything else.

    A file beside the kinds is remembered, and counts once.
    """
    together = Outputs(TASK, FILES.locate)
    alone = [Outputs(TASK, FILES.locate) for _ in uris]
    for uri, one in zip(uris, alone, strict=True):
        together.add(uri, 3)
        one.add(uri, 3)
    assert together.count <= sum(one.count for one in alone)
    assert together.count - together.named.files == sum(one.count - one.named.files for one in alone)
    assert together.bytes - together.named.bytes == sum(one.bytes - one.named.bytes for one in alone)
    assert together.folders == {folder for one in alone for folder in one.folders}
    assert together.external == [uri for one in alone for uri in one.external]
    assert sum(together.unknown.values()) == sum(sum(one.unknown.values()) for one in alone)
    assert bool(together.unusable) == any(one.unusable for one in alone)
