"""The manifests in k8s/, made from the chart: `plain_manifests.py FOLDER`.

For clusters without Helm. What only Helm needs is left out: its labels, the checksum that would be wrong after an edit, and
the test. Credentials come from a Secret that the reader makes. What the values in COMPONENTS add or change is a component of
kustomize each.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from helm_python.chart import Chart

CHART = Path(__file__).parent / "clearml-cleanup"
RELEASE, NAMESPACE = "clearml-cleanup", "clearml"
VALUES = {"clearml": {"existingSecret": "clearml-credentials"}}
COMPONENTS: dict[str, dict[str, Any]] = {
    "network-policy": {"networkPolicy": {"enabled": True}},
    "shards": {"shards": 4},
    "sweep": {"sweep": {"enabled": True, "stores": ["s3://bucket/clearml"]}},
}
"""The folders of k8s/components, and the values that they stand for."""
HELMS_OWN = ("helm.sh/chart", "app.kubernetes.io/managed-by", "checksum/config")
HEADER = "# Made from helm/clearml-cleanup by `make chart`; change it with a kustomization of your own.\n"

Object = dict[str, Any]


def without_helm(item: Any) -> Any:
    """An object without what only Helm reads, and without what is empty then."""
    if isinstance(item, list):
        return [without_helm(part) for part in item]
    if not isinstance(item, dict):
        return item
    kept = {key: without_helm(value) for key, value in item.items() if key not in HELMS_OWN}
    return {key: value for key, value in kept.items() if not (key == "annotations" and not value)}


def rendered(*values: Object) -> dict[str, list[Object]]:
    """The chart's objects with these values over those of k8s/, by the file that they come from."""
    given: Object = {}
    for layer in (VALUES, *values):
        given |= layer
    with Chart.load(CHART) as chart:
        made = chart.render(given, name=RELEASE, namespace=NAMESPACE)
    files = {}
    for path, text in sorted(made.items()):
        name = path.rpartition("/")[2]
        documents = [document for document in yaml.safe_load_all(text) if document] if name.endswith(".yaml") else []
        if documents and "/tests/" not in path:
            files[name] = [without_helm(document) for document in documents]
    return files


def manifests() -> dict[str, str]:
    """The files of k8s/, by their path in it."""
    base = rendered()
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": NAMESPACE,
        "resources": sorted(base),
    }
    files = {name: _text(*documents) for name, documents in base.items()} | {"kustomization.yaml": _text(kustomization)}
    for name, values in COMPONENTS.items():
        files |= {f"components/{name}/{path}": text for path, text in component(base, rendered(values)).items()}
    return files


def component(base: dict[str, list[Object]], wanted: dict[str, list[Object]]) -> dict[str, str]:
    """What makes of the base what the chart makes with other values, as a component of kustomize."""
    before, after = ({_key(item): item for items in files.values() for item in items} for files in (base, wanted))
    new = {name: [item for item in items if _key(item) not in before] for name, items in wanted.items()}
    files = {name: _text(*items) for name, items in new.items() if items}
    gone = [before[key] for key in before if key not in after]
    patches: list[Object] = [{"target": _target(item), "patch": _plain(_deletion(item))} for item in gone]
    for kind, name in before.keys() & after.keys():
        steps = list(changes(before[kind, name], after[kind, name]))
        if steps:
            patches.append({"target": _target(after[kind, name]), "patch": _plain(steps)})
    patches.sort(key=lambda patch: str(patch["target"]))
    made = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "resources": sorted(files),
        "patches": patches,
    }
    return files | {"kustomization.yaml": _text({key: value for key, value in made.items() if value})}


def changes(before: Any, after: Any, path: str = "") -> Iterator[Object]:
    """The steps from one to the other, as JSON Patch (RFC 6902).

    Entries are added at the end of a list, wherever that is, so that several components go together.
    """
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in [*before, *(key for key in after if key not in before)]:
            place = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
            if key not in after:
                yield {"op": "remove", "path": place}
            elif key not in before:
                yield {"op": "add", "path": place, "value": after[key]}
            else:
                yield from changes(before[key], after[key], place)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after) and isinstance(before[0], dict):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from changes(old, new, f"{path}/{place}")
    elif isinstance(before, list) and isinstance(after, list):
        for place in reversed([place for place, item in enumerate(before) if item not in after]):
            yield {"op": "remove", "path": f"{path}/{place}"}
        yield from ({"op": "add", "path": f"{path}/-", "value": item} for item in after if item not in before)
    else:
        yield {"op": "replace", "path": path, "value": after}


def _deletion(item: Object) -> Object:
    named = {"name": item["metadata"]["name"]}
    return {"$patch": "delete", "apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": named}


def _target(item: Object) -> Object:
    """Without the namespace: the reader may have chosen another one."""
    return {"kind": item["kind"], "name": item["metadata"]["name"]}


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def _plain(item: Any) -> str:
    return yaml.safe_dump(item, sort_keys=False)


def _text(*documents: Object) -> str:
    return HEADER + yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines, as patches are, in several lines."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_str)


def write(folder: Path) -> None:
    """Write them, and remove what the chart no longer has."""
    made = manifests()
    for old in set(folder.rglob("*.yaml")) - {folder / name for name in made}:
        old.unlink()
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
