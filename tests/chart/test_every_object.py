"""What is on every object, whatever it is: its namespace, its labels, its annotations."""

from typing import Any

from tests.chart.charts import ENOUGH, SANDBOX, Object, at, merged, nested, one, render

ALL = merged(
    SANDBOX,
    {"networkPolicy": {"enabled": True}, "sweep": {"enabled": True, "stores": ["s3://bucket"]}},
    {"metrics": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}, "notify": {"urls": ["json://host"]}},
    {"serviceAccount": {"annotations": {"own": "account"}}, "annotations": {"own": "cronjob"}},
    {"jobAnnotations": {"own": "job"}, "podAnnotations": {"own": "pod"}, "policies": [{"name": "p"}]},
)
"""Values with which the chart makes an object of each kind."""
TEMPLATES = ("spec.jobTemplate.metadata", "spec.jobTemplate.spec.template.metadata", "spec.template.metadata")


def metadata(objects: list[Object]) -> list[Object]:
    """Of all objects, and of those that Kubernetes makes from them."""
    made = [at(item, place) for item in objects for place in TEMPLATES]
    return [item["metadata"] for item in objects] + [found for found in made if found]


def test_annotations_and_labels_of_all_are_on_all() -> None:
    common: Object = {"commonAnnotations": {"owner": "ml-platform"}, "commonLabels": {"team": "ml"}}
    found = metadata(render(ALL, common))
    assert len(found) > 15
    assert all(item["annotations"]["owner"] == "ml-platform" for item in found)
    assert all(item["labels"]["team"] == "ml" for item in found)
    assert [item["metadata"].get("annotations") for item in render(SANDBOX) if item["kind"] == "CronJob"] == [None]


def test_an_objects_own_win_over_those_of_all() -> None:
    objects = render(ALL, {"commonAnnotations": {"own": "all"}, "podLabels": {"own": "pod"}, "commonLabels": {"own": "all"}})
    cronjob = next(item for item in objects if item["metadata"]["name"] == "clearml-cleanup" and item["kind"] == "CronJob")
    assert cronjob["metadata"]["annotations"]["own"] == "cronjob"
    assert at(cronjob, TEMPLATES[0])["annotations"]["own"] == "job"
    assert at(cronjob, TEMPLATES[1])["annotations"]["own"] == "pod"
    assert at(cronjob, TEMPLATES[1])["labels"]["own"] == "pod"
    assert one("NetworkPolicy", objects)["metadata"]["annotations"]["own"] == "all"
    assert one("ServiceAccount", objects)["metadata"]["annotations"]["own"] == "account"


def test_no_label_of_a_user_replaces_one_that_selectors_look_for() -> None:
    taken = {"app.kubernetes.io/name": "x", "app.kubernetes.io/component": "x"}
    objects = render(ALL, {"commonLabels": taken, "podLabels": taken, "labels": taken, "jobLabels": taken})
    assert all(item["labels"]["app.kubernetes.io/name"] == "clearml-cleanup" for item in metadata(objects))
    pods = {at(item, f"{TEMPLATES[1]}.labels")["app.kubernetes.io/component"] for item in objects if item["kind"] == "CronJob"}
    assert pods == {"job", "sweep"}


def test_everything_is_in_the_namespace_that_replaces_the_releases() -> None:
    objects = render(ALL, {"namespaceOverride": "{{ .Release.Namespace }}-jobs"}, namespace="ml")
    assert {item["metadata"]["namespace"] for item in objects} == {"ml-jobs"}
    assert one("RoleBinding", objects)["subjects"][0]["namespace"] == "ml-jobs"
    assert "namespace: ml\n" not in str(objects)


def pods(objects: list[Object]) -> list[Any]:
    places = {"CronJob": "spec.jobTemplate.spec.template.spec", "Deployment": "spec.template.spec", "Pod": "spec"}
    return [at(item, places[item["kind"]]) for item in objects if item["kind"] in places]


def test_every_image_is_from_the_registry_of_all_charts() -> None:
    own = {"image": {"registry": "own"}, "sandbox": {"image": {"registry": "other"}}}
    images = [pod["containers"][0]["image"] for pod in pods(render(ALL, own, nested("global.imageRegistry", "mirror:5000")))]
    assert len(images) == 4
    assert all(image.startswith("mirror:5000/clearml-cleanup/") for image in images)
    named = nested("image.repository", "localhost/mine")
    assert (
        pods(render(ENOUGH, named, nested("global.imageRegistry", "mirror")))[0]["containers"][0]["image"]
        == "localhost/mine:0.1.0"
    )


def test_secrets_for_pulling_are_added_each_once() -> None:
    given = {"global": {"imagePullSecrets": ["a", {"name": "b"}]}, "imagePullSecrets": [{"name": "b"}, "c"]}
    for pod in pods(render(ALL, given)):
        assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
