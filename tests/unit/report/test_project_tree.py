"""Projects as a tree, with sums."""

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.report.project_tree import DEEPEST, SUMS, tree


def row(name: str, tasks: int = 1, **more: int) -> dict[str, object]:
    return {"name": name, **dict.fromkeys(SUMS, 0), "tasks": tasks, **more}


def shown(*rows: dict[str, object]) -> list[tuple[int, str, int]]:
    return [(level, node.label, node.sums["tasks"]) for level, node in tree(rows).walk()]


def test_a_parent_includes_its_sub_projects_and_the_largest_comes_first() -> None:
    assert shown(row("a", 1), row("b/x", 2), row("a/y", 9), row("a/z", 4), row("b", 5)) == [
        (1, "a", 14), (2, "y", 9), (2, "z", 4), (1, "b", 7), (2, "x", 2),
    ]  # fmt: skip


def test_a_parent_without_tasks_of_its_own_is_there_if_it_has_several_sub_projects() -> None:
    assert shown(row("team/a/x", 1), row("team/b/y/z", 2)) == [(1, "team", 3), (2, "b/y/z", 2), (2, "a/x", 1)]
    assert shown(row("team/a")) == [(1, "team/a", 1)]


def test_all_numbers_are_summed_and_rows_of_one_name_are_one() -> None:
    (_, top), *_ = tree([row("a", 1, bytes=5, unsized=2), row("a/b", 1, bytes=7, kept=3), row("a/b", 1, failed=1)]).walk()
    assert top.sums == {"tasks": 3, "models": 0, "files": 0, "bytes": 12, "unsized": 2, "kept": 3, "failed": 1}
    assert top.weight == 7


@given(st.lists(st.text("ab/", max_size=30), max_size=8))
def test_nothing_is_lost_however_deep_the_names_are(names: list[str]) -> None:
    root = tree([row(name) for name in names])
    assert sum(node.sums["tasks"] for node in root.children.values()) == len(names)
    assert all(level <= DEEPEST for level, _ in root.walk())
    assert {*names} <= {node.name for _, node in root.walk()}


def test_a_secret_in_a_name_is_known_before_the_name_is_split() -> None:
    nodes = tree([row("x https://user:pass/word@host/path?sig=abcdefgh")]).walk()
    assert not [node.name for _, node in nodes if "pass" in node.name or "word" in node.name or "abcd" in node.name]
