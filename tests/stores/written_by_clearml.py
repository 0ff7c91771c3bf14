"""Writes a task's outputs with the clearml package as people use it, in a process of its own. Prints the task's id.

Arguments: the destination, a JSON object of links (an artifact, a model and a debug sample that are not uploaded), and a JSON
list of names of files, each of which is uploaded as a model in both of the SDK's ways.
"""

import json
import os
import socket
import sys
from pathlib import Path

if place := os.environ.get("TEST_AZURE"):
    # The SDK goes to an account's own name, at the usual port; the test server is here.
    name, _, port = place.partition(":")
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *rest, **options: (
        resolve("127.0.0.1", port, *rest[1:], **options) if host in {name, name.encode()} else resolve(host, *rest, **options)
    )
if "STORAGE_EMULATOR_HOST" in os.environ:
    from google.cloud.storage import Bucket

    # The test server has no such call, by which the SDK finds out whether it may write.
    Bucket.test_iam_permissions = lambda _, permissions, *__, **___: list(permissions)

import numpy as np
from clearml import OutputModel, StorageManager, Task

destination, links, names = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
task = Task.init(
    "stores/näme proj",
    "exp #1 a+b 100%",
    auto_connect_frameworks=False,
    auto_connect_arg_parser=False,
    auto_resource_monitoring=False,
    auto_connect_streams=False,
    reuse_last_task_id=False,
    output_uri=destination,
)
# With a hash sign in the name of a file the SDK can't write to Azure.
weights = Path("weights of 1+1.pt" if destination.startswith("azure:") else "weights of #1.pt")
weights.write_text("weights")
task.upload_artifact("a dict + more", {"a": 1}, wait_on_upload=True)
OutputModel(task=task, name="the model").update_weights(str(weights), auto_delete_file=False, async_enable=False)
# In the background the SDK asks Azure in another way, which does not find the test server.
for name in names:
    for way in ("sync",) if destination.startswith("azure:") else ("sync", "async"):
        Path(way).mkdir(exist_ok=True)
        file = Path(way, f"{way} {name}")
        file.write_text(name)
        OutputModel(task=task, name=file.name).update_weights(str(file), auto_delete_file=False, async_enable=way == "async")
logger = task.get_logger()
logger.set_flush_period(0.5)
logger.set_default_upload_destination(destination)
logger.report_image("images of #1", "a/b", 0, image=np.zeros((4, 4, 3), dtype="uint8"))
if links.get("artifact", "").startswith("file:"):
    del links["artifact"]  # the SDK uploads a file that is there
if "artifact" in links:
    task.upload_artifact("raw", links["artifact"])
if "model" in links:
    OutputModel(task=task, name="base").update_weights(register_uri=links["model"])
if "sample" in links:
    logger.report_media("video", "v", 0, url=links["sample"])
# A file of somebody else's, in the same place.
StorageManager.upload_file(str(weights), f"{destination}/somebody/weights.pt")
task.flush(wait_for_uploads=True)
task.close()
print("id", task.id)
