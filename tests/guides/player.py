"""Plays a guide from top to bottom, as a reader would, on an embedded ClearML Server.

`helm` and `kubectl` lines change a model of the cluster: which releases it has, with which values. What runs in their
pods really runs here, with the variables of the rendered chart, and so does each `clearml-cleanup` command.
What is not known fails.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from cleanup_job.cli import installed_release
from cleanup_job.cli import main as command_line
from cleanup_job.settings.policy_file import read
from clearml_sandbox.server import Sandbox
from tests.chart.charts import CHART, CONTAINER, ENOUGH, Object, at, merged, nested, one, render
from tests.guides import helm_lines
from tests.guides.blocks import ROOT, Block, Command, blocks_of, commands_of
from tests.guides.kubectl_lines import KubectlLine, parse
from tests.guides.releases import THEIRS, Release, Step, job_of, pod_of, selected, their_own, valid
from tests.unit.cluster.kubernetes_fake import FakeCluster

CONNECTION = ("CLEARML_API_HOST", "CLEARML_FILES_HOST", "CLEARML_WEB_HOST", "CLEARML_API_ACCESS_KEY", "CLEARML_API_SECRET_KEY")

NOT_TRIED = {
    "aws": "needs an AWS account",
    "docker": "needs a container daemon; tests/image builds the image",
    "git": "changes this checkout",
    "pip": "changes this environment; tests/packaging installs the wheel",
}
"""Programs whose lines are read, and no more, with the reason."""


@dataclass
class Player:
    """One reader with one server and one cluster."""

    sandbox: Sandbox
    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    placeholders: Mapping[str, str] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    files: dict[str, Object] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    jobs: list[tuple[str, Step]] = field(default_factory=list)
    """Jobs of the cluster that have ended, by name."""
    packages: set[str] = field(default_factory=set)
    expected: Mapping[str, int] = field(default_factory=dict)
    """Exit codes of passes that are to fail, by a word of their line."""
    cleanup: ExitStack = field(default_factory=ExitStack)

    def play(self, page: Path) -> "Player":
        with self.cleanup:
            for block in blocks_of(page):
                self.play_block(block)
        return self

    def has_cleaned(self) -> Step:
        """Last night a pass deleted what is old."""
        self._install("clearml-cleanup", "clearml", merged(THEIRS, nested("cleanup.forceDelete", True)))
        return self.run_release()

    def play_block(self, block: Block) -> None:
        kinds: dict[str, Callable[[Block], None]] = {
            "yaml": self._yaml,
            "bash": self._bash,
            "json": lambda block: json.loads(block.text),
            "python": self._python,
        }
        assert block.language in kinds, f"{block}: nothing is known of blocks of {block.language or 'no language'}"
        kinds[block.language](block)

    # -- YAML: values of the chart, objects of the cluster, or a file with policies
    def _yaml(self, block: Block) -> None:
        assert block.title, f"{block}: its first line is not the name of a file"
        if block.title.startswith("policies"):
            (self.folder / block.title).write_text(block.text, encoding="utf-8")
            assert read(self.folder / block.title).policies
            return
        documents = list(yaml.safe_load_all(block.text))
        if "kind" not in documents[0]:
            (values,) = documents
            with_keys = values if {"existingSecret", "accessKey"} & values.get("clearml", {}).keys() else merged(ENOUGH, values)
            valid(render(with_keys))
            self.files[block.title] = with_keys
        else:
            self.files[block.title] = {"objects": documents}

    def _apply(self, name: str) -> None:
        """What the controllers of these kinds do."""
        for item in self.files[name]["objects"]:
            kinds = {
                "Application": self._application,
                "HelmRelease": self._helm_release,
                "GitRepository": lambda _: None,  # the release that names it looks for it
                "Pod": lambda _: None,  # it has the volumes that the release has
            }
            assert item["kind"] in kinds, f"{name}: nothing is known of {item['kind']}"
            kinds[item["kind"]](item)

    def _application(self, item: Object) -> None:
        assert item["apiVersion"] == "argoproj.io/v1alpha1"
        spec = item["spec"]
        source, destination = spec["source"], spec["destination"]
        assert set(spec) == {"project", "source", "destination", "syncPolicy"}
        assert set(source) == {"repoURL", "targetRevision", "path", "helm"}
        assert (ROOT / source["path"]).resolve() == CHART
        assert set(source["helm"]) == {"releaseName", "valuesObject"}
        assert source["helm"]["releaseName"] == item["metadata"]["name"], "Argo CD's own label has the application's name"
        self._install(source["helm"]["releaseName"], destination["namespace"], source["helm"]["valuesObject"])

    def _helm_release(self, item: Object) -> None:
        assert item["apiVersion"] == "helm.toolkit.fluxcd.io/v2"
        spec = item["spec"]
        assert set(spec) == {"interval", "releaseName", "chart", "test", "values"}
        chart = spec["chart"]["spec"]
        assert set(chart) == {"chart", "reconcileStrategy", "sourceRef"}
        assert (ROOT / chart["chart"]).resolve() == CHART
        sources = [
            other["metadata"]["name"]
            for file in self.files.values()
            for other in file.get("objects", [])
            if other["kind"] == chart["sourceRef"]["kind"] and other["apiVersion"] == "source.toolkit.fluxcd.io/v1"
        ]
        assert chart["sourceRef"]["name"] in sources
        self._install(spec["releaseName"], item["metadata"]["namespace"], spec["values"])

    # -- bash
    def _bash(self, block: Block) -> None:
        for command in commands_of(block.text):
            self.run(command)

    def run(self, command: Command) -> None:
        """Run one line."""
        programs: dict[str, Callable[[tuple[str, ...], str], str]] = {
            "helm": lambda words, _: self._helm(words),
            "kubectl": lambda words, _: self._kubectl(words),
            "clearml-cleanup": lambda words, _: self._clearml_cleanup(words),
            "export": lambda words, _: self._export(words),
            "make": lambda words, _: self._make(words),
            "jq": self._jq,
            "ssh-keygen": lambda words, _: self._ssh_keygen(words),
            **dict.fromkeys(NOT_TRIED, lambda *_: ""),
        }
        output = ""
        for words in command.programs:
            if "=" in words[0] and len(words) > 1:  # NAME=value for this command alone
                given = dict(self.environment)
                self._export(words[:1])
                self.run(Command((words[1:],)))
                self.environment = given
                continue
            assert words[0] in programs, f"{command}: nothing is known of {words[0]}"
            output = programs[words[0]](words[1:], output)
        if command.target:
            (self.folder / command.target).write_text(output, encoding="utf-8")

    def _export(self, words: tuple[str, ...]) -> str:
        for word in words:
            name, _, value = word.partition("=")
            assert value, word
            self.environment[name] = value
        return ""

    def _make(self, words: tuple[str, ...]) -> str:
        target, *settings = words
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert f"\n{target}: " in makefile
        assert all(f"$({setting.partition('=')[0]})" in makefile for setting in settings)
        return ""

    def _jq(self, words: tuple[str, ...], given: str) -> str:
        if shutil.which("jq") is None:
            pytest.skip("jq is not installed (Debian: apt-get install jq)")
        done = subprocess.run(["jq", *words], input=given, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S607 -- a tool of the system
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() not in {"", "null"}, f"jq {words} finds nothing"
        return done.stdout

    def _ssh_keygen(self, words: tuple[str, ...]) -> str:
        """As an approver who has a key, and whose name is in `allowed_signers`."""
        if shutil.which("ssh-keygen") is None:
            pytest.skip("ssh-keygen is not installed (Debian: apt-get install openssh-client)")
        key, signers = self.folder / ".ssh" / "id_ed25519", self.folder / "allowed_signers"
        if not key.exists():
            key.parent.mkdir()
            made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
            subprocess.run(made, check=True)
            signers.write_text(f"carol@example.com {key.with_suffix('.pub').read_text()}")
        given = (self.folder / words[-1]).read_text() if "<" in words else None
        asked = [word.replace("~", str(self.folder)) for word in (words[: words.index("<")] if "<" in words else words)]
        done = subprocess.run(["ssh-keygen", *asked], input=given, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S607 -- a tool of the system
        assert done.returncode == 0, done.stderr
        return done.stdout

    # -- helm
    def _helm(self, words: tuple[str, ...]) -> str:
        options = helm_lines.parse(words)
        if options.command == "package":
            self.packages.add(helm_lines.package(options.chart))
        elif options.command in {"install", "upgrade"}:
            assert options.chart in self.packages or helm_lines.is_ours(options.chart), options.chart
            layers = [self.files.get(name) or their_own(name) for name in options.values]
            sets = [parsed for text in options.set for parsed in helm_lines.parsed_set(text)]
            self._install(options.release, options.namespace, merged(*layers, *sets))
        else:
            release = self.release(options.release, options.namespace)
            if options.command == "test":
                self._helm_test(release)
        return ""

    def _install(self, name: str, namespace: str, values: Object) -> None:
        release = Release(name, namespace, values)
        valid(release.objects)
        self.releases[name] = release

    def release(self, name: str, namespace: str) -> Release:
        """The release of this name; a page that installs none is about one with the least values."""
        found = self.releases.get(name) or (None if self.releases else Release(name, namespace, THEIRS))
        assert found, f"no release is called {name}"
        assert found.namespace == namespace, f"{name} is in namespace {found.namespace}, not {namespace}"
        return found

    def _variables(self, release: Release) -> dict[str, str]:
        """The variables of its pods; a file with policies is in the reader's folder, as what every volume has is."""
        found = [item for item in release.objects if item["metadata"]["name"] == f"{release.name}-policies"]
        if not found:
            return release.variables
        file = self.folder / found[0]["metadata"]["name"]
        file.write_text(found[0]["data"]["policies.yaml"], encoding="utf-8")
        return release.variables | {"CLEANUP_POLICIES": str(file)}

    def _helm_test(self, release: Release) -> None:
        container = one("Pod", release.objects)["spec"]["containers"][0]
        self._pass(f"helm test {release.name}", container["args"], self._variables(release))

    # -- kubectl
    def _kubectl(self, words: tuple[str, ...]) -> str:
        line = parse(words)
        if line.verb == "cp":
            assert (self.folder / line.target).exists(), f"{line}: it is not in the volume"
            return ""
        if line.verb == "apply":
            for file in line.options.get("--filename", []):
                self._apply(file)
            assert all((ROOT / folder / "kustomization.yaml").exists() for folder in line.options.get("--kustomize", []))
            return ""
        self._see_that_its_objects_exist(line)
        if line.verb == "logs":
            return "".join(step.output for _, step in self.jobs)
        return ""

    def _see_that_its_objects_exist(self, line: KubectlLine) -> None:
        releases = self.known(line.options.get("--namespace", [""])[0])
        names = {(item["kind"].lower(), item["metadata"]["name"]) for release in releases for item in release.objects}
        for kind, name in line.objects:
            if kind in {"cronjob", "pod"}:
                assert (kind, name) in names, f"{line}: no such {kind}"
            if kind == "job":
                assert any(name.startswith(f"{made}-") for _, made in names), f"{line}: not a Job of a release"
        for selector in line.options.get("--selector", []):
            assert any(selected(selector, release, line.kind) for release in releases), f"{line}: selects nothing"

    def known(self, namespace: str) -> list[Release]:
        return list(self.releases.values()) or [Release("clearml-cleanup", namespace, THEIRS)]

    # -- clearml-cleanup
    def _clearml_cleanup(self, words: tuple[str, ...]) -> str:
        if words[:1] == ("sandbox",):
            self._start_sandbox(words)
            return ""
        if words[:1] in {("trigger",), ("status",)}:
            return self._in_the_cluster(words)
        line = f"clearml-cleanup {' '.join(words)}"
        return self._pass(line, words, self.environment)

    def _start_sandbox(self, words: tuple[str, ...]) -> None:
        """The very command, on ports that are free."""
        command = [sys.executable, "-m", "cleanup_job", *words, "--api-port", "0", "--files-port", "0"]
        process = self.cleanup.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self.cleanup.callback(process.terminate)
        assert process.stdout
        ready, _, api, _, files, _, key = process.stdout.readline().split()
        assert ready == "ready:"
        self.sandbox = Elsewhere(api, files, key)

    def _in_the_cluster(self, words: tuple[str, ...]) -> str:
        options = cli_options(words)
        namespace = options.namespace or "default"
        release = self.release(options.cronjob or "clearml-cleanup", namespace)
        if not options.cronjob:
            assert len(self.known(namespace)) == 1, f"{words}: of several CronJobs one has to be named"
        cluster = self._cluster_of(release)
        self.monkeypatch.setattr(installed_release, "connect_as_user", lambda _: cluster)
        with self._environment({}):
            code = command_line.main([word for word in words if word != "--follow"])
        shown = self.capsys.readouterr()
        assert code == 0, shown.err
        if words[0] == "status":
            return shown.out
        (job,) = (arguments[1] for method, arguments, _ in cluster.asked if method == "create_namespaced_job")
        container = job["spec"]["template"]["spec"]["containers"][0]
        arguments = [self._mounted(word, container) for word in container.get("args") or []]
        output = self._pass(f"clearml-cleanup {' '.join(words)}", arguments, self._variables(release))
        self.jobs.append((job["metadata"]["name"], self.steps[-1]))
        return output

    def _mounted(self, word: str, container: Object) -> str:
        """An argument with a path in the pod as one in the reader's folder: that is what every volume is here."""
        for mount in container.get("volumeMounts") or []:
            word = word.replace(f"={mount['mountPath']}/", f"={self.folder}/")
        return word

    def _cluster_of(self, release: Release) -> FakeCluster:
        cronjob = one("CronJob", release.objects)
        cronjob["metadata"]["uid"] = "u1"
        ours = [(name, step) for name, step in self.jobs if name.startswith(release.name)]
        return FakeCluster(
            list_namespaced_cron_job={"items": [cronjob]},
            read_namespaced_cron_job=cronjob,
            create_namespaced_job=lambda _, job: job,
            list_namespaced_job={"items": [job_of(name, cronjob) for name, _ in ours]},
            list_namespaced_pod={"items": [pod_of(name, step) for name, step in ours]},
            read_namespaced_lease={"metadata": {"name": release.name}, "spec": {}},
        )

    def _pass(self, line: str, words: Any, environment: Mapping[str, str]) -> str:
        """A pass, or another command that talks to the server alone, in this process."""
        before = self.sandbox.tasks() if isinstance(self.sandbox, Elsewhere) else tasks(self.sandbox)
        with self._environment({k: v for k, v in environment.items() if k not in CONNECTION} | self.sandbox.environment()):
            code = command_line.main(list(words))
        shown = self.capsys.readouterr()
        after = self.sandbox.tasks() if isinstance(self.sandbox, Elsewhere) else tasks(self.sandbox)
        wanted = next((number for word, number in self.expected.items() if word in line), 0)
        assert code == wanted, f"{line}: exit code {code}\n{shown.out}{shown.err}"
        self.steps.append(Step(line, code, shown.out or shown.err, before, after))
        return shown.out

    def run_release(self, name: str = "clearml-cleanup") -> Step:
        """The pass that the schedule of a release starts."""
        release = self.releases[name]
        minute = 29731320 + len(self.jobs)
        self._pass(
            f"the schedule of {name}",
            at(one("CronJob", release.objects), CONTAINER).get("args") or [],
            self._variables(release),
        )
        self.jobs.append((f"{name}-{minute}", self.steps[-1]))
        return self.steps[-1]

    @contextmanager
    def _environment(self, more: Mapping[str, str]) -> Iterator[None]:
        with self.monkeypatch.context() as patch:
            for name in list(os.environ):
                if name.startswith(("CLEARML_", "CLEANUP_")):
                    patch.delenv(name)
            patch.setenv("HOME", str(self.folder))
            patch.chdir(self.folder)
            for name, value in more.items():
                patch.setenv(name, value)
            yield

    # -- Python, by the SDK itself
    def _python(self, block: Block) -> None:
        text = block.text
        for name, value in self.placeholders.items():
            text = text.replace(name, value)
        ast.parse(text)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("CLEARML_", "CLEANUP_"))}
        environment |= self.sandbox.environment() | {"HOME": str(self.folder)}
        done = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


class Elsewhere:
    """A sandbox in a process of its own."""

    def __init__(self, api: str, files: str, key: str) -> None:
        self.addresses = {"CLEARML_API_HOST": api, "CLEARML_FILES_HOST": files}
        self.keys = {"CLEARML_API_ACCESS_KEY": key, "CLEARML_API_SECRET_KEY": "sandbox-secret"}

    def environment(self) -> dict[str, str]:
        return self.addresses | self.keys

    def tasks(self) -> set[str]:
        return set()


def tasks(sandbox: Sandbox) -> set[str]:
    return set(sandbox.state()["tasks"])


def cli_options(words: tuple[str, ...]) -> Any:
    """Where a command looks for the release."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--namespace")
    parser.add_argument("--cronjob")
    return parser.parse_known_args(words)[0]
