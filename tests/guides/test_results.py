"""What the guides promise of their settings is what a pass does with them."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from clearml_sandbox.worlds.builder import World
from tests.chart.charts import one
from tests.guides import world
from tests.guides.blocks import ROOT, Command, blocks_of, commands_of
from tests.guides.player import Player, tasks

Play = Callable[..., Player]


def page(name: str) -> str:
    return (ROOT / "docs" / "guides" / name).read_text(encoding="utf-8")


def command(line: str) -> Command:
    (found,) = commands_of(line)
    return found


# -- the README
def test_the_readme_s_commands_do_what_is_beside_them(reader: Player, named: world.Named) -> None:
    quick_start_on_a_cluster = "helm uninstall"  # tests/e2e/test_readme.py plays it
    blocks = [block for block in blocks_of(ROOT / "README.md") if quick_start_on_a_cluster not in block.text]
    reader.expected = {"sweep": 2}  # there are no such stores here
    for block in blocks:
        reader.play_block(block)
    in_the_cluster, dry, drafts, all_old, used, swept = reader.steps
    assert (in_the_cluster.listed, in_the_cluster.gone) == (set(named.old["draft"]), set())
    assert (dry.listed, dry.gone) == (set(named.old["draft"]), set())
    assert drafts.gone == set(named.old["draft"])
    assert all_old.gone == named.all_old - drafts.gone
    assert used.gone == set()
    assert "/mnt/fileserver" in swept.log[-1]["error"]


# -- first-rollout.md
def test_the_first_rollout_deletes_nothing_then_one_project_then_all(played: Play, named: world.Named) -> None:
    reader = played("first-rollout.md")
    first, again, real, second = (step for step in reader.steps if "trigger" in step.line)
    playground = {*named.old["playground"], *named.old["draft"]}
    assert (first.listed, first.gone) == (named.all_old, set())
    assert (again.listed, again.gone) == (playground, set())
    assert real.gone == playground
    assert second.listed == set()
    assert reader.run_release().gone == named.all_old - playground
    assert tasks(reader.sandbox) == set(named.stays)


def test_a_portion_leaves_the_rest_for_the_next_pass(reader: Player, named: world.Named) -> None:
    (values,) = (block for block in blocks_of(ROOT / "docs/guides/first-rollout.md") if "maxTasks: 2000" in block.text)
    reader.play_block(replace(values, text=values.text.replace("2000", "10")))
    reader.run(command("helm upgrade clearml-cleanup ./helm/clearml-cleanup --namespace clearml --values my-values.yaml"))
    first, second = reader.run_release(), reader.run_release()
    assert len(first.gone) == 10
    assert first.log[-1]["left"] == len(named.all_old) - 10
    assert first.gone | second.gone == named.all_old


def test_one_task_more_than_the_first_rollout_expects_and_nothing_is_deleted(reader: Player) -> None:
    limited = [block for block in blocks_of(ROOT / "docs/guides/first-rollout.md") if "refuseAbove: 500" in block.text]
    many = World(datetime.now(UTC))
    for number in range(501):
        many.task(f"try {number}", project="playground")
    reader.sandbox.load(many.as_dict())
    reader.play_block(limited[0])
    reader.run(command("helm upgrade clearml-cleanup ./helm/clearml-cleanup --namespace clearml --values my-values.yaml"))
    reader.expected = {"schedule": 2}
    assert reader.run_release().gone == set()


# -- one-project.md
def test_one_project_is_cleaned_with_what_is_below_it(played: Play, named: world.Named) -> None:
    reader = played("one-project.md")
    dry, listed, real, again = reader.steps
    assert dry.listed == listed.listed == real.gone == set(named.old["vision/detection"])
    assert {line["project"] for line in dry.log if line["event"] == "task"} == {"vision/detection", "vision/detection/night"}
    assert again.log[-1]["deleted"] == 0


def test_a_project_that_there_is_not_selects_nothing_and_is_warned_of(reader: Player) -> None:
    reader.run(command("clearml-cleanup run --force-delete --projects vision/detektion"))
    (step,) = reader.steps
    assert (step.gone, step.log[-1]["selected"]) == (set(), 0)
    assert any(line["level"] == "warning" and "vision/detektion" in line["message"] for line in step.log if "message" in line)


def test_a_star_in_a_project_s_name_is_any_text(reader: Player, named: world.Named) -> None:
    reader.run(command("clearml-cleanup run --force-delete --projects vision/*/night"))
    assert reader.steps[0].gone == {named.old["vision/detection"][-1]}


# -- leave-out-a-team.md
def test_a_team_is_left_out_by_project_tag_and_user(played: Play, named: world.Named) -> None:
    reader = played("leave-out-a-team.md")
    (step,) = reader.steps
    ruled = {*named.old["robotics"], *named.old["baselines"], *named.old["paper"]}
    assert step.kept == dict.fromkeys(ruled, "keep_rule")
    assert step.listed == named.all_old - ruled - set(named.old["robotics-ci"])
    del reader.releases["clearml-cleanup"].values["clearml"]["task"]
    assert reader.run_release().gone == step.listed


@pytest.mark.parametrize("flag", ["--keep-projects", "--keep-tags", "--exclude-users", "--exclude-projects", "--exclude-tags"])
def test_a_misspelled_rule_is_an_error_before_anything_is_deleted(reader: Player, flag: str) -> None:
    reader.expected = {flag: 2}
    reader.run(command(f"clearml-cleanup run --force-delete {flag} robotiks"))
    assert reader.steps[0].gone == set()


# -- protect-production-models.md
def test_tagged_models_outlive_their_tasks(played: Play, named: world.Named) -> None:
    reader = played("protect-production-models.md")
    reader.run_release()
    left = {model["id"]: model for model in reader.sandbox.state()["models"]}
    assert left.keys() == {named.tagged_model, named.untagged_model}
    assert set(named.old["released"] + named.old["candidate"]).isdisjoint(tasks(reader.sandbox))
    files = reader.sandbox.state()["files"]
    assert sum("/models/" in path for path in files) == 2


# -- how-much-it-freed.md
def test_what_it_freed_is_what_the_records_say(played: Play, reader: Player, named: world.Named) -> None:
    done = reader.has_cleaned()
    assert done.log[-1]["bytes"] == 1000 * len(named.all_old)
    rows = page("how-much-it-freed.md").split("| field |")[1].split("\n\n")[0].splitlines()
    fields = {field for row in rows if "with policies" not in row for field in re.findall(r"`(\w+)`", row)}
    assert fields <= done.log[-1].keys()


# -- alert-when-it-fails.md
def test_its_values_switch_alerts_and_dashboard_on(played: Play) -> None:
    objects = played("alert-when-it-fails.md", {"refuseAbove=1": 2}).releases["clearml-cleanup"].objects
    rule = one("PrometheusRule", objects)
    assert rule["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    text = page("alert-when-it-fails.md")
    assert [found["alert"] for found in rule["spec"]["groups"][0]["rules"]] == re.findall(
        r"^\| `(ClearMLCleanup\w+)` \|", text, re.MULTILINE
    )
    assert any(item["metadata"]["labels"].get("grafana_dashboard") == "1" for item in objects)


def test_a_dry_run_that_is_to_fail_fails_and_deletes_nothing(played: Play) -> None:
    reader = played("alert-when-it-fails.md", {"refuseAbove=1": 2})
    failed, good = reader.steps
    assert (failed.exit_code, failed.gone, good.exit_code, good.gone) == (2, set(), 0, set())


# -- argo-cd-and-flux.md
@pytest.mark.parametrize("name", ["application.yaml", "release.yaml"])
def test_what_is_installed_from_git_only_looks_at_first(reader: Player, named: world.Named, name: str) -> None:
    (manifest,) = (block for block in blocks_of(ROOT / "docs/guides/argo-cd-and-flux.md") if block.title == name)
    reader.play_block(manifest)
    reader.run(command(f"kubectl apply --filename {name}"))
    step = reader.run_release()
    assert (step.listed, step.gone) == (named.all_old, set())


def test_the_chart_s_lease_has_no_field_that_a_pass_changes(reader: Player) -> None:
    reader.has_cleaned()
    assert "spec" not in one("Lease", reader.releases["clearml-cleanup"].objects)


# -- air-gapped.md
def test_images_come_from_the_internal_registry_and_no_other(played: Play) -> None:
    release = played("air-gapped.md").releases["clearml-cleanup"]
    assert set(re.findall(r'"image": "([^"]+)"', json.dumps(release.objects))) == {
        "registry.internal.example/mlops/clearml-cleanup:0.1.0"
    }


# -- several-servers.md
def test_each_server_has_a_release_with_addresses_schedule_and_lease_of_its_own(played: Play) -> None:
    reader = played("several-servers.md")
    objects = [release.objects for release in reader.releases.values()]
    assert len({one("ConfigMap", these)["data"]["CLEARML_API_HOST"] for these in objects}) == 2
    assert len({one("CronJob", these)["spec"]["schedule"] for these in objects}) == 2
    names = [{(item["kind"], item["metadata"]["name"]) for item in these} for these in objects]
    assert not names[0] & names[1]


# -- s3-with-irsa.md
def test_the_role_may_do_what_the_job_does_and_is_for_its_service_account_alone(played: Play) -> None:
    release = played("s3-with-irsa.md").releases["clearml-cleanup"]
    permissions, trust = (
        json.loads(block.text) for block in blocks_of(ROOT / "docs/guides/s3-with-irsa.md") if block.language == "json"
    )
    actions = set(re.findall(r"s3:\w+", json.dumps([statement["Action"] for statement in permissions["Statement"]])))
    needed = re.findall(r"`(s3:\w+)`", (ROOT / "docs/stores.md").read_text(encoding="utf-8"))
    assert actions == set(needed)
    account = one("ServiceAccount", release.objects)["metadata"]
    subjects = [value for key, value in trust["Statement"][0]["Condition"]["StringEquals"].items() if key.endswith(":sub")]
    assert subjects == [f"system:serviceaccount:{account['namespace']}:{account['name']}"]
    assert account["annotations"]["eks.amazonaws.com/role-arn"].endswith(":role/clearml-cleanup")


# -- hosted-clearml.md
def test_a_hosted_server_is_the_one_that_is_named_and_a_limit_holds(played: Play, named: world.Named) -> None:
    reader = played("hosted-clearml.md")
    assert one("ConfigMap", reader.releases["clearml-cleanup"].objects)["data"]["CLEARML_API_HOST"] == "https://api.clear.ml"
    dry, real, *_ = reader.steps
    assert (dry.listed, dry.gone) == (named.all_old, set())
    assert real.gone == {*named.old["playground"], *named.old["draft"]}


# -- after-a-mistake.md
def test_the_schedules_stop_and_the_log_names_what_was_deleted(reader: Player, played: Play, named: world.Named) -> None:
    reader.has_cleaned()
    page_blocks = blocks_of(ROOT / "docs/guides/after-a-mistake.md")
    reader.play_block(page_blocks[0])
    assert one("CronJob", reader.releases["clearml-cleanup"].objects)["spec"]["suspend"] is True
    reader.play_block(page_blocks[1])
    log = (reader.folder / "passes.log").read_text(encoding="utf-8").splitlines()
    assert {
        line["task"] for line in map(json.loads, log) if line.get("verdict") in {"deleted", "would_delete"}
    } == named.all_old


def test_the_pass_after_a_mistake_deletes_nothing_and_the_schedule_goes_on(reader: Player, played: Play) -> None:
    reader.has_cleaned()
    played("after-a-mistake.md")
    assert reader.steps[-1].gone == set()
    assert one("CronJob", reader.releases["clearml-cleanup"].objects)["spec"]["suspend"] is False


# -- clearml-versions.md
def test_the_version_that_is_tried_is_one_that_the_table_has(played: Play) -> None:
    reader = played("clearml-versions.md")
    cleaned, again = reader.steps
    assert cleaned.log[-1]["deleted"] > 100
    assert not [line for line in again.log if line["level"] == "error"]


# -- approve-before-deleting.md
def test_what_was_approved_is_deleted(played: Play, named: world.Named) -> None:
    reader = played("approve-before-deleting.md")
    (step,) = (one for one in reader.steps if one.line.endswith("--from-plan tuesday.jsonl"))
    assert step.gone == named.all_old
    assert not any(one.gone for one in reader.steps if one is not step)
    assert json.loads((reader.folder / "after.jsonl").read_text().splitlines()[-1])["tasks"] == 0


def test_what_was_signed_is_deleted_by_a_pod(reader: Player, named: world.Named) -> None:
    blocks = blocks_of(ROOT / "docs" / "guides" / "approve-before-deleting.md")
    first = next(number for number, block in enumerate(blocks) if block.title == "my-values.yaml")
    for block in blocks[first:-1]:
        reader.play_block(block)
    assert reader.steps[-1].gone == named.all_old
