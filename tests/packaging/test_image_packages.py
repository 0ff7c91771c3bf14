"""What the image leaves out is not missed: commands run with all else real, in a Python that finds only what the image has."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from clearml_sandbox.server import Sandbox
from clearml_sandbox.worlds.builder import World
from tests.unit.exporters.mailbox import mailbox
from tests.unit.exporters.receiver import receiver

ROOT = Path(__file__).resolve().parents[2]
# Imports go as they would, but for what is in another package or file than the image has.
IN_THE_IMAGE = """
import importlib.machinery, importlib.metadata, json, re, sys, sysconfig
from pathlib import Path
image = Path(sys.argv[1])
sys.path.insert(0, str(image))
from root import STDLIB_LEFT_OUT
from trim import KUBERNETES_APIS, UNREAD
sys.path.remove(str(image))
packages, stdlib = Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib"))
locked = set(re.findall(r"^([\\w.-]+)==", (image.parent / "requirements/image.txt").read_text(), re.MULTILINE))
made_by = importlib.metadata.packages_distributions()
normal = lambda name: re.sub(r"[-_.]+", "-", name).lower()
other = {top for top, names in made_by.items() if not {normal(name) for name in names} & (locked | {"clearml-cleanup"})}
kept = {packages / "kubernetes/client/api" / f"{module}.py" for module in KUBERNETES_APIS.values()}
unread = {path for pattern in UNREAD for path in packages.glob(pattern)} - kept

class OnlyTheImages:
    def find_spec(self, name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        file = Path(spec.origin) if spec and spec.origin else None
        if file is None or name.startswith("cleanup_job"):
            return None
        if file.is_relative_to(packages):
            gone = name.partition(".")[0] in other or not unread.isdisjoint([file, *file.parents])
        else:
            gone = file.is_relative_to(stdlib) and STDLIB_LEFT_OUT.search(str(file.relative_to(stdlib)))
        if gone:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, OnlyTheImages())
"""
COMMANDS = (
    IN_THE_IMAGE
    + """
from cleanup_job.cli.main import main
for words in json.loads(sys.argv[2]):
    if (code := main(words)) != 0:
        raise SystemExit(f"{words}: exit code {code}")
"""
)


def in_the_image(program: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, "-c", program, str(ROOT / "image"), *arguments]
    environment |= {"PATH": "/usr/bin", "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def test_commands_miss_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    """A pass as a task of ClearML, with its run's plots, every report and an audit log, and the commands that only read."""
    world = World(datetime.now(UTC))
    for number in range(3):
        task = world.task(f"old {number}", days_old=60)
        task.artifact("data")
        task.model("weights")
    living = world.task("living", archived=False)
    sandbox.load(world.as_dict())
    plan, audit, folder = tmp_path / "plan.jsonl", tmp_path / "audit", tmp_path / "files"
    audit.mkdir()
    policies = tmp_path / "policies.yaml"
    policies.write_text("policies: [{name: all, delete: {after: 30d}}]", encoding="utf-8")
    (folder / "lab" / f"exp.{'a' * 32}").mkdir(parents=True)
    reports = ",".join(str(tmp_path / f"report.{kind}") for kind in ("html", "md", "json", "csv", "jsonl"))
    commands = [
        ["register"],
        ["run", "--dry-run", "--no-service-task", "--log-format", "text", "--plan", plan],
        ["plan", "show", plan],
        ["explain", living.id],
        ["forecast"],
        ["policies", "test", policies],
        ["policies", "diff", policies, policies],
        ["policies", "schema"],
        ["usage", "--report", tmp_path / "usage.html"],
        ["sweep", "--store", folder],
        ["settings"],
        ["completion", "bash"],
        ["run", "--report", reports, "--audit", audit],
        ["audit", audit],
        ["enqueue", "--dry-run"],
        ["version"],
    ]
    switches = {"CLEANUP_TASK": "true", "CLEANUP_DELETE_THRESHOLD_DAYS": "30", "CLEANUP_FORCE_DELETE": "true"}
    environment = sandbox.environment() | switches | {"HOME": str(tmp_path)}
    with receiver() as hook, mailbox() as post:
        mail = f"mailto://127.0.0.1:{post.port}?from=a@example.com&to=b@example.com"
        notify = {"CLEANUP_NOTIFY": f"json://127.0.0.1:{hook.port} {mail}", "CLEANUP_NOTIFY_WHEN": "always"}
        done = in_the_image(COMMANDS, json.dumps(commands, default=str), **environment, **notify)
        assert done.returncode == 0, done.stderr + done.stdout
        assert len(hook.got) == len(post.got) == 3, "a dry run, a sweep and a pass"
    assert list(sandbox.store.tasks.keys() & {task["id"] for task in world.as_dict()["tasks"]}) == [living.id]
    assert len(list(tmp_path.glob("report.*"))) == 5
    assert "events.add_batch" in {request.call for request in sandbox.requests}


def test_the_calls_of_the_cluster_are_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cleanup_job" / "cluster").glob("*.py"))
    used = sorted(set(re.findall(r'"(\w+V\d\w*Api)"', sources)))
    program = "\nfrom kubernetes import client\nprint(*(getattr(client, name)() and name for name in sorted(KUBERNETES_APIS)))"
    done = in_the_image(IN_THE_IMAGE + program)
    assert done.stdout.split() == used, done.stderr


def test_what_is_left_out_is_not_found() -> None:
    modules = ("markdown_it", "kubernetes.aio", "kubernetes.client.api.apps_v1_api", "clearml.task", "sqlite3", "apprise.cli")
    program = """
for name in sys.argv[2:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        print(error)
"""
    done = in_the_image(IN_THE_IMAGE + program, *modules)
    gone = done.stdout.replace("numpy", "clearml.task")  # the first thing that it imports
    assert gone.splitlines() == [f"{module} is not in the image" for module in modules], done.stderr


@pytest.mark.parametrize("lock", ["image.txt", "image-sandbox.txt"])
def test_nothing_else_is_left_out(lock: str) -> None:
    """What each package of the image asks for is there too, or has its reason to be missing."""
    names = {"clearml-cleanup"} | set(
        re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / lock).read_text(encoding="utf-8"), re.MULTILINE)
    )
    left_out = re.findall(
        r"^([\w.-]+) +# .+$", (ROOT / "requirements" / "not-in-image.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    wanted = {
        canonicalize_name(one.name)
        for one in (Requirement(text) for name in names for text in requires(name) or [])
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }
    assert wanted - names == set(left_out)
