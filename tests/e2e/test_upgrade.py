"""Upgrades from the chart of the version before, and installs by tools that render the chart and apply the objects themselves.

That chart is a package in charts/: no network, and no history of the repository, is needed for it. It runs the current version
of the job, since no other image is on the cluster.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.release import CHART, REPOSITORY, Release, command

pytestmark = pytest.mark.e2e

BEFORE = Path(__file__).parent / "charts" / "clearml-cleanup-0.0.9.tgz"
IMAGES = ("--set", f"image.repository={REPOSITORY}", "--set", f"sandbox.image.repository={REPOSITORY}")
OWN = ("--set", "sandbox.enabled=true,sandbox.tasks=40,cleanup.forceDelete=true,schedule=15 4 * * 1,podAnnotations.owner=ml")
WAIT = ("--wait", "--timeout", "3m")


def passes(release: Release, job: str) -> dict[str, Any]:
    """Run a pass; gives its summary."""
    assert release.ended(release.start(job)) == "Complete", release.log(job)
    return release.summary(job)


def annotations(release: Release) -> dict[str, str]:
    template = release.get("cronjob", release.name)["spec"]["jobTemplate"]["spec"]["template"]
    found: dict[str, str] = template["metadata"]["annotations"]
    return found


def test_a_release_of_the_version_before_is_upgraded(another_namespace: str) -> None:
    release = Release(another_namespace)
    release.helm("install", release.name, str(BEFORE), *WAIT, *IMAGES, *OWN)
    assert release.get("cronjob", release.name)["metadata"]["labels"]["helm.sh/chart"] == "clearml-cleanup-0.0.9"
    first = release.tasks()

    # With the old chart's defaults and none of the new ones.
    release.helm("upgrade", release.name, str(CHART), *WAIT, "--reuse-values")
    assert release.get("cronjob", release.name)["metadata"]["labels"]["helm.sh/chart"] != "clearml-cleanup-0.0.9"
    assert release.get("cronjob", release.name)["spec"]["schedule"] == "15 4 * * 1"
    assert annotations(release)["owner"] == "ml"
    assert passes(release, "reused")["deleted"] > 0
    assert release.tasks() < first

    # With a values file, as the guide says.
    release.helm("upgrade", release.name, str(CHART), *WAIT, *IMAGES, *OWN, "--set", "commonAnnotations.team=ml")
    assert annotations(release) | {"owner": "ml", "team": "ml"} == annotations(release)
    assert passes(release, "again")["dry_run"] is False

    # And back, to what it was.
    release.helm("rollback", release.name, "1", *WAIT)
    assert release.get("cronjob", release.name)["metadata"]["labels"]["helm.sh/chart"] == "clearml-cleanup-0.0.9"


def test_a_value_that_the_new_chart_does_not_know_is_named_and_changes_nothing(another_namespace: str) -> None:
    release = Release(another_namespace)
    credentials = ("--set", "clearml.existingSecret=none,suspend=true")
    release.helm("install", release.name, str(BEFORE), *credentials)
    done = release.helm("upgrade", release.name, str(CHART), *credentials, "--set", "cleanup.oldValue=1", check=False)
    assert done.returncode
    assert "oldValue" in done.stderr
    assert release.get("cronjob", release.name)["metadata"]["labels"]["helm.sh/chart"] == "clearml-cleanup-0.0.9"

    # An upgrade with a values file makes passes dry runs, and says so.
    done = release.helm("upgrade", release.name, str(CHART), *credentials)
    assert "NOTHING IS DELETED YET: dryRunFirst is true" in done.stdout
    assert release.get("configmap", release.name)["data"]["CLEANUP_DRY_RUN"] == "true"
    done = release.helm("upgrade", release.name, str(CHART), "--reuse-values", "--set", "dryRunFirst=false")
    assert "NOTHING IS DELETED" not in done.stdout
    assert release.get("configmap", release.name)["data"]["CLEANUP_DRY_RUN"] == "false"


def test_argo_cd_renders_and_applies_it(another_namespace: str, tmp_path: Path) -> None:
    """It runs `helm template`, runs no Helm test, leaves Leases out, and applies on the server's side."""
    release = Release(another_namespace)
    values = ("--set", "sandbox.enabled=true,sandbox.tasks=40,lease.create=true,cleanup.forceDelete=true")
    words = ("template", release.name, str(CHART), "--include-crds", "--kube-version", "v1.35.4", *IMAGES, *values)
    rendered = [item for item in yaml.safe_load_all(release.helm(*words).stdout) if item]
    hooks = [item for item in rendered if "helm.sh/hook" in item["metadata"].get("annotations", {})]
    applied = [item for item in rendered if item not in hooks and item["kind"] != "Lease"]
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": applied}))
    for _ in range(2):  # it applies again and again, and stays in sync
        release.kubectl("apply", "--server-side", "--field-manager=argocd-controller", "--filename", str(manifest))
    release.kubectl("rollout", "status", f"deployment/{release.name}-sandbox", "--timeout=3m")
    assert passes(release, "synced")["deleted"] > 0
    assert "no differences" not in release.kubectl("get", "lease", release.name)
    release.kubectl("diff", "--server-side", "--field-manager=argocd-controller", "--filename", str(manifest))


def test_all_objects_go_into_the_namespace_that_is_named(namespace: str, another_namespace: str) -> None:
    """The release stays where Helm was told, and its objects are elsewhere."""
    values = ("--set", f"namespaceOverride={another_namespace},sandbox.enabled=true,sandbox.tasks=40,fullnameOverride=over")
    command("helm", "--namespace", namespace, "install", "elsewhere", str(CHART), *WAIT, *IMAGES, *values)
    release = Release(another_namespace, "over")
    assert passes(release, "over-first")["dry_run"] is False
    assert release.events()
    command("helm", "--namespace", namespace, "test", "elsewhere")
    command("helm", "--namespace", namespace, "uninstall", "elsewhere", "--wait")
    assert not release.get("cronjobs,leases,configmaps", "--selector=app.kubernetes.io/name=clearml-cleanup")["items"]
