"""What becomes of a URI: owned, external, on an unknown store, or unusable."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cleanup_job.planning.outputs import External, Outputs, Owned, UnknownStore, Unusable, address_of, classify
from cleanup_job.planning.paths import LinkedFile, TaskId
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
        f"http://evil.example#@clearml-fileserver:8081/{FOLDER}/models/w.pt",
        f"http://evil.example\\@clearml-fileserver:8081/{FOLDER}/models/w.pt",
        f"http://old/filesystem/{FOLDER}/models/w.pt",
        f"s3://bucket/{FOLDER}/models/w.pt",
        f"file:///mnt/{FOLDER}/models/w.pt",
        f"/mnt/{FOLDER}/models/w.pt",
        f"C:\\out\\exp.{TASK}\\models\\w.pt",
        f"C:/out/exp.{TASK}/models/w.pt",
        f"C:\\out/exp.{TASK}\\models/w.pt",
        f"D:exp.{TASK}\\w.pt",
        f"\\\\nas\\share\\exp.{TASK}\\models\\w.pt",
        f"//nas/share/exp.{TASK}/models/w.pt",
        f"file:///C:\\out\\exp.{TASK}\\artifacts\\a.bin",
        f"file:///C:%5Cout%5Cexp.{TASK}%5Cartifacts%5Ca.bin",
        f"file:///C:%255Cout%255Cexp.{TASK}%255Cartifacts%255Ca.bin",
        f"file://nas\\share\\exp.{TASK}\\a.bin",
        f"s3:\\\\bucket\\exp.{TASK}\\a.bin",
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


@pytest.mark.parametrize(
    "uri", [f"C:\\exp.{TASK}", f"C:\\out\\exp.{'f' * 32}\\w.pt", f"\\\\nas\\exp.{TASK}x\\w.pt", "C:\\raw.csv"]
)
def test_a_path_of_another_system_that_names_no_folder_of_the_task_is_external(uri: str) -> None:
    assert classify(uri, TASK, FILES.locate) == External(None)


@pytest.mark.parametrize("bar", ["\\", "%5C", "%5c", "%255C"])
def test_a_folder_between_backslashes_on_a_known_store_is_unusable(bar: str) -> None:
    path = f"team{bar}exp.{TASK}{bar}models{bar}w.pt"
    assert classify(f"http://clearml-fileserver:8081/x/{path}", TASK, FILES.locate) == Unusable()
    folder = classify(f"http://clearml-fileserver:8081/{FOLDER}/models/{path}", TASK, FILES.locate)
    assert isinstance(folder, Owned)


def test_a_link_into_a_folder_between_backslashes_may_be_somebodys_file() -> None:
    with pytest.raises(ValueError, match="may not be deleted"):
        LinkedFile("fileserver", f"team/x\\exp.{'f' * 32}\\models\\w.pt")
    LinkedFile("fileserver", "team/x\\y")


def test_a_plus_is_a_plus_and_quoting_is_undone_once() -> None:
    found = classify(f"http://clearml-fileserver:8081/team/a+b.{TASK}/n%2541.bin", TASK, FILES.locate)
    assert isinstance(found, Owned)
    assert found.file.path == f"team/a+b.{TASK}/n%41.bin"


def test_addresses_of_stores_hold_no_password() -> None:
    assert address_of("s3://bucket/a/b") == "s3://bucket"
    assert address_of("http://user:hunter2@host:9000/a") == "http://host:9000"
    assert address_of("/mnt/a") == "file://"


@pytest.mark.parametrize(
    "uri",
    [
        "s3://user:hunter2@host:9000/b", "s3://user:hunter2@host:9000", "azure://host?sv=1&sig=hunter2", "s3://host#hunter2",
        "s3://host\\hunter2@b/x", "http://user:hun/ter2@host/x", "s3://a@hunter2@host:9000/b", "http://[::1]:9000/x?hunter2",
    ],
)  # fmt: skip
def test_addresses_of_stores_hold_nothing_but_the_host(uri: str) -> None:
    assert "hun" not in address_of(uri)
    assert "user" not in address_of(uri) or "not a valid address" in address_of(uri)


def test_files_beside_what_the_sdk_makes_are_remembered_by_name() -> None:
    outputs = Outputs(TASK, FILES.locate)
    for rest in ("models/w.pt", "README", "metrics/a/1.png", "runs/x", "metrics/a/2.png", "models"):
        outputs.add(f"http://clearml-fileserver:8081/{FOLDER}/{rest}", 5)
    assert {file.rest for file in outputs.files} == {"README", "runs/x", "models"}
    assert (outputs.count, outputs.bytes, outputs.named.files) == (6, 30, 3)
    assert {kind: one.files for (_, kind), one in outputs.sums.items()} == {"models": 1, "metrics": 2}


def test_files_in_another_tasks_folder_below_are_external() -> None:
    outputs = Outputs(TASK, FILES.locate, links=frozenset({"fileserver"}))
    outputs.add(f"http://clearml-fileserver:8081/{FOLDER}/metrics/1.png")
    outputs.add(f"http://clearml-fileserver:8081/{FOLDER}/metrics/lab/x.{'f' * 32}/1.png")
    assert (outputs.count, outputs.external_count, outputs.linked) == (1, 1, set())


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


# -- every part of what is remembered
HERE = f"http://clearml-fileserver:8081/{FOLDER}"
OTHER = "f" * 32


def added(*uris: str, **options: object) -> Outputs:
    found = Outputs(TASK, FILES.locate, **options)
    for uri in uris:
        found.add(uri, 3)
    return found


def test_a_size_that_no_record_has_counts_as_nothing() -> None:
    found = added(f"{HERE}/models/a", f"{HERE}/notes.txt")
    for rest in ("models/b", "readme.txt"):
        found.add(f"{HERE}/{rest}")
    assert (found.count, found.bytes, found.named.files, found.named.bytes) == (4, 6, 2, 3)


def test_twenty_external_files_are_named_and_all_are_counted() -> None:
    found = added(*(f"s3://bucket/{n}" for n in range(30)))
    assert (found.external, found.external_count) == ([f"s3://bucket/{n}" for n in range(20)], 30)


def test_the_kinds_of_files_that_are_not_remembered_are() -> None:
    uris = [f"{HERE}/{rest}" for rest in ("metrics/a/b.png", "metrics/a/c.png", "artifacts/x/y", "notes.txt", "models/w")]
    assert added(*uris).forgotten == {"metrics", "artifacts", "models"}
    assert added(*uris, apart=frozenset({"models"})).forgotten == {"metrics", "artifacts"}
    assert added(uris[0], f"{HERE}/artifacts/x/y").forgotten == {"metrics", "artifacts"}
    assert added(f"{HERE}/models/a%20b/c").forgotten == {"models"}


def test_files_in_folders_that_are_taken_apart_and_beside_the_kinds_are_remembered() -> None:
    uris = [f"{HERE}/{rest}" for rest in ("metrics/b.png", "models/w", "models/w", "notes.txt", "models/v")]
    found = added(*uris, apart=frozenset({"models"}))
    assert {file.rest for file in found.files} == {"models/w", "models/v", "notes.txt"}
    assert (found.count, found.bytes, found.named.files) == (4, 12, 1)


def test_a_store_that_counts_itself_is_known_by_its_name() -> None:
    assert added(f"{HERE}/models/w", measured=lambda store: store == "fileserver").count == 0
    assert added(f"{HERE}/models/w", measured=lambda store: store == "other").count == 1


def test_an_address_is_looked_up_once_for_all_that_lie_beside_each_other() -> None:
    asked: list[str] = []

    def locate(uri: str) -> object:
        asked.append(uri)
        return FILES.locate(uri)

    found = Outputs(TASK, locate)
    for n in range(5):
        found.add(f"{HERE}/metrics/img/v/{n}.png", 3)
    assert asked == [f"{HERE}/metrics/img/v/0.png"]
    found.add(f"{HERE}/models/a%20b", 3)
    found.add(f"{HERE}/models/c", 3)
    found.add(f"{HERE}/models/d", 3)
    assert len(asked) == 3
    assert (found.count, found.forgotten) == (8, {"metrics", "models"})


def test_what_lies_beside_a_file_of_no_kind_is_counted_where_it_belongs() -> None:
    found = added(f"{HERE}/notes.txt", f"{HERE}/artifacts/x", f"{HERE}/artifacts/y")
    assert (found.named.files, [one.files for one in found.sums.values()]) == (1, [2])
    found = added(f"{HERE}/models/w", f"{HERE}/artifacts/x", apart=frozenset({"models"}))
    assert ({kind: one.files for (_, kind), one in found.sums.items()}, found.forgotten) == (
        {"models": 1, "artifacts": 1},
        {"artifacts"},
    )
    found = added(f"{HERE}/models/w", f"{HERE}/artifacts/x", f"{HERE}/metrics/y")
    assert {kind: one.files for (_, kind), one in found.sums.items()} == {"models": 1, "artifacts": 1, "metrics": 1}


@pytest.mark.parametrize("rest", ["metrics/%2e%2e/x", "metrics//x", "metrics/./x", "metrics/../x", "%2e%2e/x"])
def test_a_path_that_is_not_clean_is_unusable_also_beside_a_clean_one(rest: str) -> None:
    found = added(f"{HERE}/metrics/a", f"{HERE}/{rest}")
    assert (found.count, found.unusable) == (1, f"{HERE}/{rest}")


def test_what_lies_in_the_folder_of_another_task_is_external_also_beside_a_file_of_this_one() -> None:
    found = added(f"{HERE}/metrics/a", f"{HERE}/metrics/x.{OTHER}/b")
    assert (found.count, found.external_count, found.unusable) == (1, 1, "")


def test_a_file_of_no_kind_is_remembered_also_beside_one_that_is_not() -> None:
    found = added(f"{HERE}/metrics/a", f"{HERE}/other/b")
    assert {file.rest for file in found.files} == {"other/b"}
    found = added(f"{HERE}/metrics/a", f"{HERE}/models/b", apart=frozenset({"models"}))
    assert {file.rest for file in found.files} == {"models/b"}


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("s3://bucket/a?from=gs://b", "s3://bucket"),
        ("S3://Bucket", "s3://Bucket"),
        ("https://[2001:db8::7]:8081/a", "https://[2001:db8::7]:8081"),
        ("s3://user:pass/word@host/a", "s3://(not a valid address)"),
        ("http://host:8081?a@b/c", "http://host:8081"),
        ("http://host#a/b", "http://host"),
        (r"http://host\a/b", "http://host"),
        ("http://a@b@host/x", "http://host"),
        ("C:/x", "file://"),
    ],
)
def test_the_address_of_a_store(uri: str, address: str) -> None:
    assert address_of(uri) == address
