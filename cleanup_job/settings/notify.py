"""Who gets a message at the end of a run, and after which runs."""

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, SecretStr

from cleanup_job.settings.fields import Group, option
from cleanup_job.settings.scopes import Scope
from cleanup_job.settings.text import as_list, urls

When = Literal["failure", "notices", "always"]


class NotifySettings(Group):
    """Who gets a summary of a pass or sweep. It decides nothing of what is deleted."""

    heading: ClassVar = "Messages"
    scope: ClassVar = Scope.POD
    sweeps: ClassVar = True
    chart: ClassVar = False
    rare: ClassVar = True

    notify: Annotated[tuple[SecretStr, ...], BeforeValidator(urls)] = option(
        (),
        "Send a summary of each pass and sweep to these apprise URLs at its end: mail (`mailtos://user:password@host`), chats "
        "(`slack://…`), webhooks (`jsons://host/path`) and [many more](messages.md). Several are separated by blanks or lines. "
        "A message that can't be sent is a warning. Needs the extra `notify`, which the image has.",
        secret=True,
    )
    notify_when: Annotated[tuple[When, ...], BeforeValidator(as_list)] = option(
        ("failure", "notices"),
        "After which runs: `failure`, those with an exit code other than 0, unless someone asked them to stop; `notices`, "
        "those that announced, archived or slimmed something by a policy; `always`, all.",
    )
