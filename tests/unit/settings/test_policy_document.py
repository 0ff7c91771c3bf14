"""What policies become once the server's names are known, and which names have to be there."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cleanup_job.errors import SettingsError
from cleanup_job.planning.filters import Known
from cleanup_job.planning.lifecycle import policy as lifecycle
from cleanup_job.planning.lifecycle.policy import Kind, LifecyclePolicy, PolicyFile, TagNames
from cleanup_job.settings.policy_document import FIELDS, PolicyDocument

PROJECTS = {"p1": "vision", "p2": "vision/released", "p3": "playground/anna", "p4": "visionary"}
KNOWN = Known(PROJECTS, lambda: {"u1": "Anna"}, lambda tag: tag in {"gold", "old"}, lambda user: user == "u9")
DAY = timedelta(days=1)


def document(*policies: dict[str, object], **more: object) -> PolicyDocument:
    return PolicyDocument.model_validate({"policies": list(policies), **more})


def resolved(*policies: dict[str, object], warn: Callable[[str], None] = pytest.fail, **more: object) -> PolicyFile:
    return document(*policies, **more).resolved(KNOWN, warn)


def refused(*policies: dict[str, object]) -> str:
    with pytest.raises(SettingsError) as error:
        resolved(*policies)
    assert error.value.exit_code == 2
    return str(error.value)


def warned(*policies: dict[str, object]) -> list[str]:
    found: list[str] = []
    resolved(*policies, warn=found.append)
    return found


RELEASED = {"name": "released", "match": {"projects": ["vision/elsewhere"]}, "keep": "all"}
DELETES = {"name": "rest", "delete": {"after": "60d"}}


# -- what becomes of them
def test_names_become_what_records_hold_with_sub_projects() -> None:
    match = (
        resolved({"name": "p", "match": {"projects": ["vision"], "users": ["Anna", "u9"], "tags": ["gold", "x*"]}})
        .policies[0]
        .match
    )
    assert match == lifecycle.Match(frozenset({"p1", "p2"}), users=frozenset({"u1", "u9"}), tags=("gold", "x*"))


def test_what_is_left_out_means_never_and_no_condition() -> None:
    assert resolved({"name": "p"}).policies == (LifecyclePolicy("p"),)
    assert resolved({"name": "p"}).tag_names is None


def test_everything_arrives() -> None:
    made = resolved(
        {
            "name": "p",
            "match": {"statuses": ["failed"], "types": ["training"], "name": "test *", "ran_less_than": "10m"},
            "keep": {
                "last": 5,
                "best": [{"metric": "a/b", "order": "min", "count": 3}, {"title": "a/b", "series": "c"}],
                "tags": ["gold"],
            },
            "archive": {"after": "14d"},
            "slim": {
                "after": "30d",
                "remove": ["checkpoints", "artifacts"],
                "checkpoints": {"keep_last": 0},
                "artifacts": {"only": ["x"], "except": ["y"]},
                "also": "not_archived",
            },
            "delete": {"after": "60d", "archived_for": "14d"},
            "notice": "7d",
            "allow_shorter": True,
            "max_ttl": "52w",
        },
        task_tags={"keep": "mine"},
    )
    best = (lifecycle.Best("a", "b", "min", 3), lifecycle.Best("a/b", "c", "max", 1))
    assert made.tag_names == TagNames("mine", "ttl", "expires")
    assert made.policies == (
        LifecyclePolicy(
            "p",
            lifecycle.Match(
                statuses=frozenset({"failed"}),
                types=frozenset({"training"}),
                name="test *",
                ran_less_than=timedelta(minutes=10),
            ),
            lifecycle.Keep(last=5, best=best, tags=("gold",)),
            14 * DAY,
            lifecycle.Slim(30 * DAY, frozenset({Kind.CHECKPOINTS, Kind.ARTIFACTS}), 0, ("x",), ("y",), also_not_archived=True),
            60 * DAY,
            14 * DAY,
            7 * DAY,
            allow_shorter=True,
            max_ttl=364 * DAY,
        ),
    )


def test_one_checkpoint_stays_unless_the_file_says_otherwise() -> None:
    slim = resolved({"name": "p", "slim": {"after": "1d", "remove": ["checkpoints"]}}).policies[0].slim
    assert slim is not None
    assert (slim.keep_last, slim.also_not_archived) == (1, False)


def test_task_tags_are_off_unless_the_file_says_so() -> None:
    assert document({"name": "p"}).tag_names is None
    assert document({"name": "p"}, task_tags=False).tag_names is None
    assert document({"name": "p"}, task_tags=True).tag_names == TagNames()


def test_models_to_keep_are_those_of_all_policies() -> None:
    both = document(
        {"name": "a", "keep": {"model_tags": ["x"]}}, {"name": "b", "keep": {"model_tags": ["y"]}}, {"name": "c", "keep": "all"}
    )
    assert both.model_tags == {"x", "y"}


# -- names that match nothing
@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"projects": ["vision", "vison"]}, "match.projects of policy 'p': no project is called 'vison' or has this id"),
        ({"users": ["Bob"]}, "match.users of policy 'p': no user is called 'Bob', and no task is of a user with this id"),
        ({"tags": ["silver"]}, "match.tags of policy 'p': no task has the tag 'silver'"),
    ],
)
def test_an_unknown_name_is_an_error_where_a_policy_behind_is_less_careful_and_otherwise_a_warning(
    match: dict[str, object], said: str
) -> None:
    careful = {"name": "p", "match": match, "delete": {"after": "90d"}}
    assert refused(careful, DELETES).startswith(
        f"CLEANUP_POLICIES: {said}. Correct or remove it: an unknown name protects nothing."
    )
    careless = {"name": "p", "match": match, "delete": {"after": "7d"}}
    (text,) = warned(careless, DELETES)
    assert text.startswith(f"CLEANUP_POLICIES: {said}. It selects nothing; correct it")
    assert len(warned(careful)) == 1, "behind it is nothing, so its tasks are left alone"


def test_the_policy_that_is_less_careful_need_not_be_the_next_one() -> None:
    assert refused(RELEASED, {"name": "between", "keep": "all"}, DELETES)
    assert warned(RELEASED, {"name": "between", "keep": "all"})
    assert warned(DELETES, RELEASED), "what is in front of it has its tasks already"


@pytest.mark.parametrize(
    ("careful", "less"),
    [
        ({"keep": {"tags": ["gold"]}, "delete": {"after": "60d"}}, {}),
        ({"keep": {"last": 5}, "delete": {"after": "60d"}}, {"keep": {"last": 5}}),
        ({"delete": {"after": "60d", "archived_for": "14d"}}, {}),
        ({"delete": {"after": "60d"}, "notice": "7d"}, {}),
        ({"delete": {"after": "60d"}}, {"allow_shorter": True}),
        ({"delete": {"after": "60d"}}, {"max_ttl": "90d"}),
        ({"delete": {"after": "60d"}}, {"archive": {"after": "900d"}}),
        ({"delete": {"after": "60d"}}, {"slim": {"after": "900d", "remove": ["console"]}}),
    ],
)
def test_less_careful_is_what_is_less_careful_in_anything(careful: dict[str, object], less: dict[str, object]) -> None:
    assert refused({"name": "p", "match": {"projects": ["gone"]}, **careful}, DELETES | less)
    assert document({"name": "p", "match": {"projects": ["gone"]}, **careful}, DELETES | less).must_exist() == ["gone"]


def test_projects_must_exist_where_a_policy_behind_is_less_careful() -> None:
    assert document(RELEASED, DELETES).must_exist() == ["vision/elsewhere"]
    assert document(RELEASED).must_exist() == []
    assert document(DELETES, RELEASED).must_exist() == []


def test_a_tag_to_keep_has_to_be_there_in_every_policy_and_a_pattern_need_not() -> None:
    assert refused({"name": "p", "keep": {"tags": ["gold", "gould"]}}).startswith(
        "CLEANUP_POLICIES: keep.tags of policy 'p': no task has the tag 'gould'."
    )
    assert not warned({"name": "p", "keep": {"tags": ["gold", "keep-*", "v?", "v[0-9]"]}})


def test_a_name_with_a_bracket_is_a_name_in_what_a_policy_is_for() -> None:
    assert warned({"name": "p", "match": {"tags": ["[old]"]}})


def test_each_key_is_known_where_it_belongs() -> None:
    assert "except" in FIELDS["artifacts"]
    assert FIELDS["the file"] == {"policies", "task_tags"}
    assert "archived_for" in FIELDS["delete"]
    assert "archived_for" not in FIELDS["a policy"]
