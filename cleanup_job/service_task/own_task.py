"""What a pass knows of its own task in ClearML."""

from dataclasses import dataclass, field

from cleanup_job.planning.paths import TaskId
from cleanup_job.planning.records import Run, ServiceTask
from cleanup_job.service_task import parameters
from cleanup_job.settings.model import Settings, env_name, shown


@dataclass(slots=True)
class OwnTask:
    """The settings that count, and where they come from. ``draft`` and ``run`` are None if ClearML refused access to them."""

    settings: Settings
    origins: dict[str, str]
    statement: parameters.Values = field(default_factory=dict)
    """What the operator says, without any edit in ClearML: a pass on an agent is bound by it."""
    draft: ServiceTask | None = None
    edited: ServiceTask | None = None
    """The task whose parameters count: the draft, or under an agent the run itself."""
    run: TaskId | None = None
    runs: list[Run] = field(default_factory=list)
    by_agent: bool = False

    @property
    def never(self) -> frozenset[str]:
        """Tasks that the pass must not touch."""
        return frozenset(str(i) for i in (self.draft and self.draft.id, self.run, self.settings.service_task.task_id) if i)

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Each setting with its value and source: the four of ClearML's own service, and all that are not at their default."""
        values = parameters.of_settings(self.settings, self.origins)
        return [(env_name(name), shown(name, value), self.origins[name]) for name, value in values.items()]
