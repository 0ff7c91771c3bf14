"""One situation as data: a world, where its files lie, the settings, and what goes wrong while the pass runs.

A scenario can be written as JSON and read back: the fuzzer prints the one that fails, and plays it again. `{FILES}` stands for
the fileserver's address, `{MOUNT}` for a mounted folder, `{AGAIN}` for a second root that is the same folder by another name.
"""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Self

Document = dict[str, Any]

PUBLIC = "https://public.example"
"""The fileserver under its second configured address."""
BUCKET = "s3://bucket/base"
"""A store that the job doesn't know."""
MOUNT, AGAIN = "{MOUNT}", "{AGAIN}"


@dataclass(frozen=True)
class Scenario:
    """Everything that a run of the property depends on."""

    world: Document
    """As the sandbox loads it; `now` is the server's time."""
    mounted: dict[str, int] = field(default_factory=dict)
    """Files below the mounted folder: path to size."""
    links: dict[str, str] = field(default_factory=dict)
    """Symbolic links there: path to the path that it leads to."""
    second_root: bool = False
    """Whether `{AGAIN}` is configured."""
    options: Document = field(default_factory=dict)
    """Settings: `force_delete`, `batch_size`, `page_size`, `workers`, `archived_for_days`; and `window`, the tasks of one."""
    clock: float | None = 0
    """Days that the server's clock is ahead of the job's; None: its answers have no Date header."""
    edits: list[Document] = field(default_factory=list)
    """What is broken in the API's answers, see `interference`."""
    events: list[Document] = field(default_factory=list)
    """What others do while the pass runs, see `interference`."""
    policies: Document = field(default_factory=dict)
    """A file of policies, as YAML gives it; empty: there is none."""

    @property
    def has_mount(self) -> bool:
        """Whether a folder is mounted at all."""
        return bool(self.mounted)

    def __repr__(self) -> str:
        """Short: hypothesis warns of large ones, and `as_json` has all of it."""
        return f"<a scenario with {len(self.world['tasks'])} tasks>"

    def as_json(self) -> str:
        """To print, and to play again."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """As `as_json` wrote it."""
        return cls(**json.loads(text))


DELETES_RECORDS = frozenset({"tasks.delete_many", "tasks.delete", "models.delete_many", "models.delete"})


@dataclass(frozen=True)
class Seen:
    """A request."""

    number: int
    service: str
    method: str
    call: str
    text: str
    """Its path and body, unquoted."""

    @property
    def deletes_records(self) -> bool:
        """Whether records go by it."""
        return self.call in DELETES_RECORDS

    @property
    def deletes_files(self) -> bool:
        """Whether files go by it."""
        return (
            self.service == "files"
            and (self.method == "DELETE" or self.call == "/delete_many")
            and '"files": []' not in self.text
        )


@dataclass
class Happened:
    """An event that came to pass."""

    event: Document
    at: int
    """The number of the request that it came before."""
    told: int | None = None
    """The first request whose answer told of it."""
