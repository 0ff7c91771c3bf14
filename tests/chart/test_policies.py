"""`policies:` becomes the file that a pass reads, and nothing else changes."""

from pathlib import Path
from typing import Any

import pytest
from helm_python.errors import HelmError
from hypothesis import given, settings
from hypothesis import strategies as st

from cleanup_job.settings.policies import PolicySettings
from cleanup_job.settings.policy_document import PolicyDocument
from cleanup_job.settings.policy_file import read
from tests.chart.charts import CONTAINER, ENOUGH, IN_EARNEST, POD, at, files, nested, one, render

FOLDER = "/etc/clearml-cleanup/policies"
PLAYGROUND = {
    "name": "playground",
    "match": {"projects": ["playground/*"], "name": "{{ .Release.Name }}", "tags": ["on", "2024", "1:30", "2026-11-28", "~"]},
    "keep": {"last": 10000, "best": [{"metric": "a/b"}]},
    "archive": {"after": "14d"},
    "delete": {"after": "60d", "archived_for": "14d"},
}
POLICIES = {"policies": [PLAYGROUND, {"name": "released", "keep": "all"}]}
OWN = {"existingPoliciesConfigMap": "{{ .Release.Name }}-own", "existingPoliciesConfigMapKey": "all.yaml"}


def config_map(*layers: dict[str, Any]) -> dict[str, Any] | None:
    found = [item for item in render(ENOUGH, *layers) if item["metadata"]["name"].endswith("-policies")]
    return found[0] if found else None


def document(tmp_path: Path, *layers: dict[str, Any]) -> PolicyDocument:
    """What the job makes of the file."""
    made = config_map(*layers)
    assert made is not None
    file = tmp_path / "policies.yaml"
    file.write_text(made["data"]["policies.yaml"])
    return read(file)


def cronjob(*layers: dict[str, Any]) -> dict[str, Any]:
    return one("CronJob", render(ENOUGH, *layers))


def variable(item: dict[str, Any], path: str = CONTAINER) -> str | None:
    return next((entry["value"] for entry in at(item, f"{path}.env") if entry["name"] == "CLEANUP_POLICIES"), None)


def refused(*layers: dict[str, Any]) -> str:
    with pytest.raises(HelmError) as error:
        render(ENOUGH, *layers)
    return str(error.value)


def test_without_policies_there_is_nothing_of_them() -> None:
    assert config_map() is None
    assert variable(cronjob()) is None
    assert at(cronjob(), f"{POD}.volumes") is None
    assert "policies" not in str(render(ENOUGH))


def test_the_file_says_what_the_values_say(tmp_path: Path) -> None:
    """Texts stay texts, braces are braces, and the first policy stays the first."""
    assert document(tmp_path, POLICIES) == PolicyDocument.model_validate(POLICIES)
    tags = {"policyTaskTags": {"keep": "gold"}}
    assert document(tmp_path, POLICIES, tags) == PolicyDocument.model_validate({**POLICIES, "task_tags": {"keep": "gold"}})
    assert document(tmp_path, POLICIES, {"policyTaskTags": True}).task_tags is True


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)


@given(st.lists(NAMES, min_size=1, max_size=4))
@settings(max_examples=30)
def test_no_name_is_bent_on_its_way(tmp_path_factory: pytest.TempPathFactory, tags: list[str]) -> None:
    one_policy = {"policies": [{"name": "p", "match": {"tags": tags}}]}
    made = config_map(one_policy)
    assert made is not None
    from_chart = tmp_path_factory.getbasetemp() / "policies-of-the-chart.yaml"
    from_chart.write_text(made["data"]["policies.yaml"])
    assert read(from_chart) == PolicyDocument.model_validate(one_policy)


def test_a_pass_reads_it_from_a_folder_that_is_mounted_read_only() -> None:
    item = cronjob(POLICIES)
    assert variable(item) == f"{FOLDER}/policies.yaml"
    assert at(item, f"{CONTAINER}.volumeMounts") == [{"name": "policies", "mountPath": FOLDER, "readOnly": True}]
    assert at(item, f"{POD}.volumes") == [
        {
            "name": "policies",
            "configMap": {"name": "clearml-cleanup-policies", "items": [{"key": "policies.yaml", "path": "policies.yaml"}]},
        }
    ]


def test_the_test_of_the_release_reads_it_and_a_sweep_does_not() -> None:
    objects = render(ENOUGH, POLICIES, {"sweep": {"enabled": True, "stores": ["s3://bucket"]}})
    (sweep,) = (item for item in objects if item["metadata"]["name"].endswith("-sweep") and item["kind"] == "CronJob")
    assert variable(sweep) is None
    assert at(sweep, f"{POD}.volumes") is None
    assert at(sweep, f"{CONTAINER}.volumeMounts") is None
    assert variable(one("Pod", objects), "spec.containers.0") == f"{FOLDER}/policies.yaml"


def test_pods_tell_which_policies_they_were_made_for() -> None:
    where = "spec.jobTemplate.spec.template.metadata.annotations"
    first = at(cronjob(POLICIES), where)
    assert first != at(cronjob({"policies": POLICIES["policies"][1:]}), where)
    assert first["checksum/config"] == at(cronjob(), where)["checksum/config"]
    assert "checksum/policies" not in at(cronjob(), where)


def test_a_config_map_of_your_own_takes_its_place() -> None:
    assert config_map(OWN) is None
    item = cronjob(OWN)
    assert variable(item) == f"{FOLDER}/policies.yaml"
    assert at(item, f"{POD}.volumes.0.configMap") == {
        "name": "clearml-cleanup-own",
        "items": [{"key": "all.yaml", "path": "policies.yaml"}],
    }
    assert "policies and existingPoliciesConfigMap are both set" in refused(POLICIES, OWN)


@pytest.mark.parametrize("policies", [POLICIES, OWN])
def test_an_agent_can_not_have_them(policies: dict[str, Any]) -> None:
    agent = nested("clearml.task", {"enabled": True, "mode": "agent"})
    assert "policies and clearml.task.mode=agent contradict each other: an agent can't read the file" in refused(
        policies, agent
    )
    assert render(ENOUGH, policies, nested("clearml.task", {"enabled": True, "mode": "pod"}))


@pytest.mark.parametrize("tags", [True, {"keep": "gold"}])
def test_tags_of_owners_need_policies(tags: object) -> None:
    assert "policyTaskTags is set, but there are no policies" in refused({"policyTaskTags": tags})
    assert "policyTaskTags is set" in refused(OWN, {"policyTaskTags": tags})


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"name": 2024}, "/policies/0/name': got number, want string"),
        ({"name": "p", "archive": {"after": 14}}, "/policies/0/archive/after': got number, want string"),
        ({"name": "p", "archive": {"after": "14"}}, "does not match pattern"),
        ({"name": "p", "match": {"projects": None}}, "/policies/0/match/projects': got null, want array"),
        ({"name": "p", "matches": {}}, "additional properties 'matches' not allowed"),
        ({}, "missing property 'name'"),
    ],
)
def test_a_mistake_is_refused_before_anything_is_installed(policy: dict[str, Any], said: str) -> None:
    assert said in refused({"policies": [policy]})


def test_the_notes_say_what_passes_do() -> None:
    def notes(*layers: dict[str, Any]) -> str:
        return files(ENOUGH, *layers)["NOTES.txt"]

    assert "what its policies say (playground, released), and nothing with other tasks" in notes(POLICIES, IN_EARNEST)
    assert "cleanup.forceDelete is false, so they archive, but slim nothing" in notes(POLICIES, IN_EARNEST)
    assert "forceDelete is false" not in notes(POLICIES, IN_EARNEST, nested("cleanup.forceDelete", True))
    assert "the policies in the ConfigMap clearml-cleanup-own say" in notes(OWN, IN_EARNEST)
    assert "NOTHING IS DELETED YET" in notes(POLICIES)
    assert "policies" not in notes(IN_EARNEST)


def test_an_extra_variable_takes_the_place_of_the_charts() -> None:
    item = cronjob(POLICIES, {"extraEnv": [{"name": "CLEANUP_POLICIES", "value": "/mine.yaml"}]})
    assert variable(item) == "/mine.yaml"


def test_the_settings_read_what_is_mounted(tmp_path: Path) -> None:
    made = config_map(POLICIES)
    assert made is not None
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "policies.yaml").write_text(made["data"]["policies.yaml"])
    (tmp_path / "policies.yaml").symlink_to("..data/policies.yaml")
    assert PolicySettings(policies=str(tmp_path / "policies.yaml")).document == PolicyDocument.model_validate(POLICIES)
