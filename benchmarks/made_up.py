"""Tasks and models that are computed from their numbers, as many as one likes: each with its id, its times and its document.

Task number ``n`` made model ``n``, and three artifacts. The higher the number, the later its ``last_update``, each at a time of
its own, evenly spread over three years. A document is the one that ``clearml_sandbox`` builds, with what differs filled in, so
that both servers answer alike; a page of 500 takes a few milliseconds.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import quote

from clearml_sandbox.api.kinds import MODEL, TASK, Kind
from clearml_sandbox.api.projection import projection
from clearml_sandbox.worlds.builder import World

ARTIFACTS = 3
PROJECTS = 10
YOUNGEST, YEARS = timedelta(days=40), timedelta(days=3 * 365)
"""How long ago the last one was updated, and over how much time before that they are spread."""
HOURS = 3
"""Before its last update a task was created."""
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEEP_TAG = "keep"
AHEAD = 10_000
"""More than a window: so the newer task has to wait for one that the pass has not listed yet."""
_MODULUS, _FACTOR = 2**128, 0x9E3779B97F4A7C15F39CC0605CEDC835
_INVERSE = pow(_FACTOR, -1, _MODULUS)
_MODELS = 2**64
"""What a model's number has above its task's."""
_NAME, _PROJECT = "exp NUMBER", "bench/PLACE"
_SLOTS = re.compile("«([a-z]+)»")


def id_of(number: int) -> str:
    """The id of a task, spread over all ids as a real server's are."""
    return f"{(number + 1) * _FACTOR % _MODULUS:032x}"


def model_id(number: int) -> str:
    """The id of the model of a task."""
    return id_of(number + _MODELS)


def number_of(key: str, *, of_model: bool = False) -> int:
    """Whose id it is; a number that no task has if it is none's."""
    try:
        number = int(key, 16) * _INVERSE % _MODULUS - 1
    except ValueError:
        return -1
    return number - _MODELS if of_model else number


@dataclass(frozen=True)
class Numbers:
    """How many there are, of what kind, and when they were updated."""

    tasks: int
    every: int = 1
    """Of so many tasks, the first is archived and may go."""
    rest: str = "living"
    """What the others are: ``living``, or ``kept``: archived, with ``KEEP_TAG``."""
    users: int = 0
    """Of so many tasks, the first uses the model of one that is newer by ``AHEAD``, where there is one; 0: none does."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @cached_property
    def step(self) -> int:
        """Milliseconds from one to the next."""
        return max(1, YEARS // MILLISECOND // max(1, self.tasks))

    @cached_property
    def begin(self) -> int:
        """When the first one was updated, in milliseconds since 1970."""
        return (self.now - YOUNGEST - EPOCH) // MILLISECOND - (self.tasks - 1) * self.step

    def time(self, number: int) -> datetime:
        """When it was last updated."""
        return EPOCH + timedelta(milliseconds=self.begin + number * self.step)

    def first_at(self, moment: datetime) -> int:
        """The first that was updated at a time or later."""
        return -((self.begin * MILLISECOND + EPOCH - moment) // (self.step * MILLISECOND))

    def kind(self, number: int) -> str:
        """``archived``, or what the rest is."""
        return "archived" if number % self.every == 0 else self.rest

    def uses(self, number: int) -> bool:
        """Whether it uses a model of another one."""
        return self.users > 0 and number % self.users == 0 and number + AHEAD < self.tasks

    def user_of(self, number: int) -> int | None:
        """Which task uses the model of this one."""
        user = number - AHEAD
        return user if user >= 0 and self.uses(user) else None

    @property
    def archived_step(self) -> int:
        """From one archived task to the next."""
        return self.every if self.rest == "living" else 1


class Documents:
    """What a server shows of them."""

    def __init__(self, numbers: Numbers, files: str) -> None:
        """``files`` is the fileserver's address."""
        self.numbers = numbers
        self.files = files
        self._now = numbers.now.replace(microsecond=0)
        self.built = World(self._now, files)
        """The projects, and no tasks."""
        self._projects = [self.built.project(f"bench/p{n}")["id"] for n in range(PROJECTS)]
        kinds = ("archived", "living", "kept")
        self._samples = {(kind, uses): self._sample(kind, uses=uses) for kind in kinds for uses in (False, True)}
        self._templates: dict[tuple[str, ...], dict[tuple[str, bool], Template]] = {}

    def _sample(self, kind: str, *, uses: bool) -> tuple[dict[str, Any], dict[str, Any]]:
        """A task and its model, each with marks where one differs from the next."""
        made = World(self._now, self.files, seed=1)
        task = made.task(
            _NAME, project=_PROJECT, days_old=YOUNGEST / DAY, archived=kind != "living", tags=[KEEP_TAG] * (kind == "kept")
        )
        for n in range(ARTIFACTS):
            task.artifact(f"a{n}")
        model = task.model("weights")
        used = made.new_id()
        if uses:
            task.input_model(used)
        moment = self._now - YOUNGEST
        marks = {
            task.id: "«id»",
            model.id: "«model»",
            used: "«used»",
            str(task.document["project"]): "«project»",
            made.days_ago(YOUNGEST / DAY): "«time»",
            made.days_ago(YOUNGEST / DAY + HOURS / 24): "«created»",
            str(int(moment.timestamp())): "«seconds»",
            quote(_PROJECT): "«place»",
            quote(_NAME): "exp%20«number»",
            _NAME: "exp «number»",
        }
        return self._marked(task.document, marks), self._marked(model.document, marks)

    @staticmethod
    def _marked(document: dict[str, Any], marks: dict[str, str]) -> dict[str, Any]:
        text = json.dumps(document)
        for what, mark in marks.items():
            text = text.replace(what, mark)
        # A number of seconds stands without quotation marks; as a document it needs them.
        found: dict[str, Any] = json.loads(text.replace(": «seconds»", ': "«seconds»"'))
        return found

    def _templates_of(self, of: Kind, fields: tuple[str, ...]) -> dict[tuple[str, bool], "Template"]:
        """How documents are shown when these fields are asked for (none: all), by kind and by whether a model is used."""
        key = (of.name, *fields)
        if key not in self._templates:
            show = projection(list(fields), of, None, extended=False)  # type: ignore[arg-type]  # only links to others need it
            self._templates[key] = {
                like: Template(json.dumps(show(both[of is MODEL]), ensure_ascii=False), self)
                for like, both in self._samples.items()
            }
        return self._templates[key]

    def shown(self, numbers: list[int], of: Kind, fields: tuple[str, ...]) -> str:
        """A page of tasks or models, as a list in JSON."""
        templates, kind, uses = self._templates_of(of, fields), self.numbers.kind, self.numbers.uses
        return f"[{', '.join([templates[kind(n), uses(n)].filled(n) for n in numbers])}]"

    def whole(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A task and its model with all fields."""
        task, model = (json.loads(self.shown([number], of, ()))[0] for of in (TASK, MODEL))
        return task, model

    # -- what differs
    def id(self, number: int) -> str:
        """The task's."""
        return id_of(number)

    def model(self, number: int) -> str:
        """The model's id."""
        return model_id(number)

    def used(self, number: int) -> str:
        """The id of the model that it uses."""
        return model_id(number + AHEAD)

    def project(self, number: int) -> str:
        """The id of the project that it is in."""
        return str(self._projects[number % PROJECTS])

    def place(self, number: int) -> str:
        """The name of its project."""
        return f"bench/p{number % PROJECTS}"

    def number(self, number: int) -> str:
        """What its name ends in."""
        return str(number)

    def time(self, number: int) -> str:
        """When it was last updated, as the API writes it."""
        return self.numbers.time(number).isoformat()

    def created(self, number: int) -> str:
        """When it was created."""
        return (self.numbers.time(number) - timedelta(hours=HOURS)).isoformat()

    def seconds(self, number: int) -> str:
        """When it wrote its artifacts, in seconds since 1970."""
        return str((self.numbers.begin + number * self.numbers.step) // 1000)

    def folder(self, number: int) -> str:
        """Its task folder."""
        return f"{self.place(number)}/exp {number}.{id_of(number)}"


class Template:
    """A document with slots for what differs."""

    def __init__(self, marked: str, documents: Documents) -> None:
        """``marked``: with the names of the slots, each a method of ``documents``."""
        marked = marked.replace('"«seconds»"', "«seconds»").replace("%", "%%")
        slots = dict.fromkeys(found[1] for found in _SLOTS.finditer(marked))
        self._fillings = [(slot, getattr(documents, slot)) for slot in slots]
        self._text = _SLOTS.sub(r"%(\1)s", marked)

    def filled(self, number: int) -> str:
        """The document of one task or model."""
        return self._text % {slot: fill(number) for slot, fill in self._fillings}
