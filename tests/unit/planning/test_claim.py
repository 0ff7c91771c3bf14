"""A claim counts however its address is spelled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.claim import Claim, readings, task_ids_in
from cleanup_job.planning.paths import KINDS, Location, ModelId, TaskFolder, TaskId, read_as
from cleanup_job.planning.records import Model

T, OTHER = TaskId("a" * 32), TaskId("b" * 32)
FOLDER = TaskFolder("fileserver", f"lab/exp 1.{T}", T)


def locate(uri: str) -> Location | None:
    from urllib.parse import unquote  # noqa: PLC0415 -- as the fileserver does it

    return Location("fileserver", unquote(uri.removeprefix("http://files/"))) if uri.startswith("http://files/") else None


def inside(uri: str, folder: TaskFolder = FOLDER, **more: object) -> set[str]:
    return set(Claim("m", OTHER, uri, **more).inside(folder, locate))


@pytest.mark.parametrize(
    "uri",
    [
        f"http://files/lab/exp%201.{T}/models/w.pt",
        f"http://files/lab/exp%201.{T}//models/w.pt",
        f"http://files/lab/exp%201.{T}/./models/w.pt",
        f"http://files/lab/exp%201.{T}/models/w.pt/",
        f"http://files/lab/exp%201.{T}/models/w.pt?download=1",
        f"http://files/lab/exp%201.{T}/models/w.pt#part",
        f"http://files/lab/exp%201.{T}/models/x/../w.pt",
        f"http://files/lab/exp%25201.{T}/models%2Fw.pt",
        f"http://files/lab/exp%201%2E{T}/models/w.pt",
        f"http://files/lab/exp%201.%61{T[1:]}/models/w.pt",
        f"HTTP://FILES/lab/exp%201.{T}/models/w.pt",
        f"https://public.example:443/files/lab/exp%201.{T}/models/w.pt",
        f"http://user:password@elsewhere/lab/exp+1.{T}/models/w.pt",
        f"s3://bucket/base/lab/exp 1.{T}/models/w.pt",
        f"/mnt/share/lab/exp 1.{T}/models/w.pt",
        rf"\\nas\share\lab\exp 1.{T}\models\w.pt",
        f"https://web.example/download?path=lab/exp%201.{T}/models/w.pt",
        f"lab/exp 1.{T}/models/w.pt",
    ],
)
def test_every_spelling_claims_the_file(uri: str) -> None:
    assert T in task_ids_in(uri)
    assert "models/w.pt" in inside(uri)


def test_a_clean_address_in_the_same_store_claims_in_its_own_folder_only() -> None:
    uri = f"http://files/lab/exp%201.{T}/models/w.pt"
    assert inside(uri) == {"models/w.pt"}
    assert inside(uri, TaskFolder("fileserver", f"lab/renamed.{T}", T)) == set()
    assert inside(uri, TaskFolder("s3://bucket", f"lab/renamed.{T}", T)) == {"models/w.pt"}


def test_an_address_that_can_be_read_in_several_ways_claims_in_the_folders_of_its_name_only() -> None:
    """The SDK quotes twice: the folder of a task with an umlaut in its name is stored with its quoted name."""
    stored, renamed = (TaskFolder("fileserver", f"lab/{name}.{T}", T) for name in ("n%C3%A4me", "other"))
    for name in ("n%25C3%25A4me", "n%C3%A4me", "näme"):
        uri = f"http://files/lab/{name}.{T}/models/w%25.pt"
        assert "models/w%.pt" in inside(uri, stored)
        assert inside(uri, renamed) == set()


def test_the_folder_itself_is_an_empty_path() -> None:
    for end in ("", "/", "/."):
        assert "" in inside(f"http://files/lab/exp%201.{T}{end}")


def test_a_path_that_a_mounted_folder_holds_elsewhere_counts() -> None:
    assert inside("file:///mnt/link/w.pt", real=f"/mnt/share/lab/exp 1.{T}/models/w.pt") == {"models/w.pt"}


def test_other_tasks_and_parts_of_ids_are_not_claimed() -> None:
    for uri in (
        f"http://files/lab/exp.{OTHER}/w",
        f"http://files/lab/exp.{T}0/w",
        f"http://files/lab/{T}/w",
        "",
        "%",
        "http://",
    ):
        assert T not in task_ids_in(uri)
        assert inside(uri) == set()


def test_the_kinds_are_those_that_a_reading_leads_into() -> None:
    assert Claim("m", OTHER, f"http://x/a.{T}/models/w").kinds(T) == {"models"}
    assert Claim("m", OTHER, f"http://x/a.{T}/other/w").kinds(T) == frozenset()
    assert Claim("m", OTHER, f"http://x/a.{T}").kinds(T) == KINDS


def test_a_link_is_known_by_the_end_of_its_path() -> None:
    assert Claim("m", OTHER, "https://public.example/zoo//base.pt?x=1").can_mean("zoo/base.pt")
    assert not Claim("m", OTHER, "https://public.example/other/base.pt").can_mean("zoo/base.pt")
    assert Claim("m", OTHER, "s3://b/zoo/base.pt?x").name == "base.pt"


@given(st.text(), st.sampled_from(["", "/", "//", "%2F", "\\"]), st.text())
def test_hostile_text_is_read_and_never_lost(before: str, mark: str, after: str) -> None:
    uri = f"{before}/x.{T}{mark}{after}"
    for path in readings(uri):
        assert all(part not in {"", ".", ".."} for part in path)
    if mark == "/":
        assert T in task_ids_in(uri) or (after and after[0] in "0123456789abcdef")


def test_a_kind_is_the_first_part_of_a_path_however_deep() -> None:
    assert Claim("m", OTHER, f"http://x/a.{T}/models/a/b/w").kinds(T) == {"models"}


@pytest.mark.parametrize(
    "path", [f"lab/exp+1.{T}/models/w.pt", f"x\\lab/exp 1.{T}/models/w.pt", f"x\\y+z/exp 1.{T}/models/w.pt"]
)
def test_an_address_that_can_name_two_paths_claims_in_each_folder_of_its_name(path: str) -> None:
    assert "models/w.pt" in inside(f"http://files/{path}")


def test_a_mounted_folder_may_be_reached_by_other_names() -> None:
    mounted = TaskFolder("file:///mnt", f"lab/new.{T}", T)
    claim = Claim("m", OTHER, f"file:///mnt/lab/old.{T}/models/w.pt")
    assert set(claim.inside(mounted, lambda uri: Location("file:///mnt", uri.removeprefix("file:///mnt/")))) == {"models/w.pt"}


def test_a_claim_follows_its_model() -> None:
    claim = Claim("m", OTHER, "http://files/a", is_model=True)
    assert claim.as_now(Model(ModelId("m"), "http://files/a", T)) == Claim("m", T, "http://files/a", is_model=True)
    assert claim.as_now(Model(ModelId("m"), "http://files/b", T)) is None
    assert claim.as_now(None) is None
    broken = Model(ModelId("m"), "http://files/b", T, unreadable="uri")
    assert claim.as_now(broken) == Claim("m", TaskId(""), "http://files/a", is_model=True)
    by_task = Claim("t", OTHER, "http://files/a")
    assert by_task.as_now(None) is by_task


def test_a_link_whose_path_is_shorter_than_the_files_can_mean_it() -> None:
    assert Claim("m", OTHER, "https://public.example/base.pt").can_mean("zoo/base.pt")


def test_a_path_that_climbs_is_read_as_it_is_resolved_and_as_if_it_did_not_climb() -> None:
    assert readings("http://files/a/../b") == {("a", "b"), ("b",)}
    assert readings("http://files/../b") == {("b",)}


@pytest.mark.parametrize("name", ["a b", "a%20b"])
def test_an_address_holds_each_reading_in_each_folder_that_it_can_mean(name: str) -> None:
    """A folder may be quoted in another way than what is below it."""
    uri = f"http://files/lab/a%20b.{T}/models/w%20x.pt"
    found = set(Claim("m", OTHER, uri).inside(TaskFolder("files", f"lab/{name}.{T}", T), read))
    assert found == {"models/w x.pt", "models/w%20x.pt"}
    assert not set(Claim("m", OTHER, uri).inside(TaskFolder("files", f"lab/c.{T}", T), read))
    plain = f"http://files/lab/c.{T}/models/w.pt"
    assert list(Claim("m", OTHER, plain).inside(TaskFolder("files", f"lab/c.{T}", T), read)) == ["models/w.pt"]


def read(uri: str) -> Location:
    return read_as("files", uri.removeprefix("http://files/"), quoted=True)
