"""A real cluster for the tests of this folder: the one of KUBECONFIG. `run.sh` makes one."""

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes as typed_kubernetes
import pytest
import yaml

kubernetes: Any = typed_kubernetes  # half of it has no types


@pytest.fixture(scope="session")
def kubeconfig() -> Path:
    """The cluster's kubeconfig; in CI it is an error that there is none."""
    path = os.environ.get("KUBECONFIG")
    if path:
        return Path(path)
    reason = "KUBECONFIG is not set; tests/e2e/run.sh starts a cluster and sets it"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(kubeconfig: Path) -> Iterator[Any]:
    """The cluster's API, with the rights of KUBECONFIG."""
    with kubernetes.config.new_client_from_config(str(kubeconfig), persist_config=False) as client:
        yield client


@contextmanager
def new_namespace(cluster: Any) -> Iterator[str]:
    """A namespace that is deleted after its use, with the strictest of the Pod Security Standards."""
    name = f"clearml-cleanup-e2e-{uuid.uuid4().hex[:8]}"
    core = kubernetes.client.CoreV1Api(cluster)
    core.create_namespace({"metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}})
    yield name
    core.delete_namespace(name)


@pytest.fixture(scope="module")
def namespace(cluster: Any) -> Iterator[str]:
    """A namespace of the module's own."""
    with new_namespace(cluster) as name:
        yield name


@pytest.fixture
def another_namespace(cluster: Any) -> Iterator[str]:
    """A namespace of the test's own."""
    with new_namespace(cluster) as name:
        yield name


Account = Callable[[Sequence[dict[str, Any]]], Path]


@pytest.fixture
def account(cluster: Any, kubeconfig: Path, namespace: str, tmp_path: Path) -> Account:
    """Makes a service account with a Role of these rules, and gives a kubeconfig with its token."""

    def make(rules: Sequence[dict[str, Any]]) -> Path:
        name = f"account-{uuid.uuid4().hex[:8]}"
        core, rbac = kubernetes.client.CoreV1Api(cluster), kubernetes.client.RbacAuthorizationV1Api(cluster)
        core.create_namespaced_service_account(namespace, {"metadata": {"name": name}})
        rbac.create_namespaced_role(namespace, {"metadata": {"name": name}, "rules": list(rules)})
        subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
        rbac.create_namespaced_role_binding(namespace, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
        token = core.create_namespaced_service_account_token(name, namespace, {"spec": {"expirationSeconds": 3600}})
        path = with_token(kubeconfig, token.status.token, namespace, tmp_path / f"{name}.kubeconfig")
        wait_for_rules(path, namespace, rules)
        return path

    return make


def with_token(kubeconfig: Path, token: str, namespace: str, path: Path) -> Path:
    """The same cluster, as somebody else."""
    config = yaml.safe_load(kubeconfig.read_text())
    context = next(entry["context"] for entry in config["contexts"] if entry["name"] == config["current-context"])
    context |= {"user": "account", "namespace": namespace}
    config["users"] = [{"name": "account", "user": {"token": token}}]
    path.write_text(json.dumps(config))
    return path


def wait_for_rules(kubeconfig: Path, namespace: str, rules: Sequence[dict[str, Any]]) -> None:
    """The API server takes a moment to notice a new Role."""
    with kubernetes.config.new_client_from_config(str(kubeconfig), persist_config=False) as client:
        reviews = kubernetes.client.AuthorizationV1Api(client)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            answer = reviews.create_self_subject_rules_review({"spec": {"namespace": namespace}})
            seen = [set(rule.verbs) for rule in answer.status.resource_rules]
            if all(set(rule["verbs"]) in seen for rule in rules):
                return
            time.sleep(0.1)
    pytest.fail("the API server did not take notice of the Role within a minute")
