"""Makes records that need what another task made, with the clearml package as people use it, and prints their ids as JSON.

``old`` is the task that is archived afterwards; ``living`` stays.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clearml import InputModel, OutputModel, PipelineController, StorageManager, Task
from clearml.backend_api.session.client import APIClient


@contextmanager
def task(name: str, output_uri: str | bool = True) -> Iterator[Task]:
    """A task that runs in this process, and has ended with all its uploads afterwards."""
    one = Task.init(
        "lost",
        name,
        auto_connect_frameworks=False,
        auto_connect_arg_parser=False,
        auto_resource_monitoring=False,
        auto_connect_streams=False,
        reuse_last_task_id=False,
        output_uri=output_uri,
    )
    yield one
    one.flush(wait_for_uploads=True)
    one.close()


def model(of: Task, name: str) -> OutputModel:
    """A model with uploaded weights."""
    weights = Path(f"{name}.pt")
    weights.write_text(name)
    made = OutputModel(task=of, name=name)
    made.update_weights(str(weights), auto_delete_file=False, async_enable=False)
    return made


def train() -> None:
    """A step of the pipeline, in a process of its own: the SDK takes the text of this function."""
    from pathlib import Path

    from clearml import OutputModel, Task

    step = Task.current_task()
    for name in ("best", "last"):
        Path(f"{name}.pt").write_text(name)
        OutputModel(task=step, name=name).update_weights(f"{name}.pt", auto_delete_file=False, async_enable=False)
    step.upload_artifact("clean data", {"a": 1}, wait_on_upload=True)
    step.upload_artifact("scratch", {"b": 1}, wait_on_upload=True)
    step.flush(wait_for_uploads=True)


def pipeline() -> dict[str, str]:
    """A pipeline that shows a model and an artifact of its step as its own; the step is in a project of its own choice.

    So it is deleted like any task: a step beside its controller goes with that.
    """
    controller = PipelineController(
        "the pipeline", "lost", "1.0", pool_frequency=0.02, add_pipeline_tags=False, target_project="lost steps"
    )
    controller.add_function_step(
        "train", train, monitor_models=["best"], monitor_artifacts=["clean data"], output_uri=True, packages=[]
    )
    controller.start_locally(run_pipeline_steps_locally=True)
    return {"old": controller.get_processed_nodes()["train"].executed, "living": controller.task.id}


def imported() -> dict[str, str]:
    """A task that somebody exported and imported again: the copy lists the models of the original."""
    with task("original") as original:
        model(original, "one")
        model(original, "two")
        original.upload_artifact("data", {"a": 1}, wait_on_upload=True)
    copy = Task.import_task(Task.get_task(original.id).export_task())
    return {"old": copy.id, "living": original.id}


def original_of_an_import() -> dict[str, str]:
    """The same, but it is the original that is archived."""
    made = imported()
    return {"old": made["living"], "living": made["old"]}


def base_model() -> dict[str, str]:
    """A task whose output model begins with another task's model."""
    with task("maker") as maker:
        base = model(maker, "base")
        model(maker, "other")
    with task("heir") as heir:
        OutputModel(task=heir, base_model_id=base.id)
    return {"old": maker.id, "living": heir.id}


def base_model_of_a_living_task() -> dict[str, str]:
    """The same, but it is the heir that is archived."""
    made = base_model()
    return {"old": made["living"], "living": made["old"]}


def connected_model() -> dict[str, str]:
    """A task that uses another task's model."""
    with task("maker") as maker:
        used = model(maker, "used")
        model(maker, "unused")
    with task("user") as user:
        user.connect(InputModel(used.id))
    return {"old": maker.id, "living": user.id}


def artifact_by_url() -> dict[str, str]:
    """A task that names another task's file by its URL as an artifact of its own."""
    with task("maker") as maker:
        maker.upload_artifact("named", {"a": 1}, wait_on_upload=True)
        maker.upload_artifact("unnamed", {"b": 1}, wait_on_upload=True)
        url = maker.artifacts["named"].url
    with task("reader") as reader:
        reader.upload_artifact("input", url)
    return {"old": maker.id, "living": reader.id}


def model_by_url() -> dict[str, str]:
    """A task that registers another task's weights as a model of its own, under another spelling of the address."""
    with task("maker") as maker:
        url = model(maker, "weights").url
        model(maker, "other")
    with task("finisher") as finisher:
        OutputModel(task=finisher, name="final").update_weights(register_uri=url.replace("/models/", "//models/./"))
    return {"old": maker.id, "living": finisher.id}


def writes_below() -> dict[str, str]:
    """A task that writes below another task's folder, where somebody thought it belongs."""
    with task("parent") as parent:
        parent.upload_artifact("data", {"a": 1}, wait_on_upload=True)
        folder = parent.artifacts["data"].url.partition("/artifacts/")[0]
    with task("child", output_uri=f"{folder}/runs") as child:
        child.upload_artifact("result", {"a": 1}, wait_on_upload=True)
        model(child, "w")
        child.get_logger().set_default_upload_destination(f"{folder}/runs")
        child.get_logger().report_media("text", "t", 0, stream=__file__, file_extension=".txt")
    return {"old": parent.id, "living": child.id}


def writes_into_a_kind_of_file() -> dict[str, str]:
    """The same, in a folder that the SDK makes itself, by a task that runs: its record names none of its files yet."""
    with task("parent") as parent:
        parent.upload_artifact("data", {"a": 1}, wait_on_upload=True)
        folder = parent.artifacts["data"].url.partition("/data/")[0]
    child = Task.create("lost", "child")
    child.output_uri = folder
    APIClient().tasks.started(task=child.id, force=True)
    Path("checkpoint.pt").write_text("checkpoint")
    StorageManager.upload_file("checkpoint.pt", f"{folder}/lost/child.{child.id}/models/checkpoint.pt")
    return {"old": parent.id, "living": child.id}


def nobody_needs() -> dict[str, str]:
    """A task with outputs of which no other record knows."""
    with task("plain") as plain:
        plain.upload_artifact("data", {"a": 1}, wait_on_upload=True)
        model(plain, "w")
    with task("neighbour") as neighbour:
        neighbour.upload_artifact("data", {"a": 1}, wait_on_upload=True)
    return {"old": plain.id, "living": neighbour.id}


if __name__ == "__main__":
    situations = (
        imported, original_of_an_import, base_model, base_model_of_a_living_task, connected_model, artifact_by_url,
        model_by_url, writes_below, writes_into_a_kind_of_file, nobody_needs, pipeline,
    )  # fmt: skip
    print("\n" + json.dumps({one.__name__: one() for one in situations}))
