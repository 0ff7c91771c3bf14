"""What the commands share that read from a server and change nothing."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from cleanup_job import wiring
from cleanup_job.cli.flags import given
from cleanup_job.cli.terminal import warn
from cleanup_job.report.formatting import plain
from cleanup_job.settings.model import TABLE, Settings, env_name, names
from cleanup_job.settings.sources import DEFAULT

Progress = Callable[[str], None]
_IN_WORDS = {"delete_threshold_days", "force_delete"}


@dataclass(frozen=True, slots=True)
class Access:
    """A server with its stores, of which nothing can be deleted."""

    settings: Settings
    parts: wiring.Parts
    given: tuple[str, ...]
    """The settings that select tasks, or say which of them are kept, and that are not at their defaults."""


def access(options: argparse.Namespace) -> Access:
    """Log in with the settings that a pass would have here, and these flags.

    Raises:
        SettingsError: a setting or the credentials are wrong.
        UnreachableError: no answer.
    """
    settings, origins = wiring.read_settings(given(options))
    connection = wiring.log_in(settings, warn)
    if settings.service_task.task:
        warn("what was edited in ClearML, at the job's draft task, is not read here: give such settings as flags")
    settings, warning = wiring.with_fileserver(settings, origins, connection)
    if warning:
        warn(warning)
    counting = names(lambda entry: entry.group in {"filters", "related", "policies", "files"} and entry.name not in _IN_WORDS)
    chosen = tuple(name for name in counting if origins[name] != DEFAULT)
    return Access(settings, wiring.connect(settings, connection, _refuse), chosen)


def _refuse() -> None:
    message = "a command that only reads was about to delete something"
    raise RuntimeError(message)


def warn_once() -> Callable[[str], None]:
    """What prints each warning on standard error, and the same one no second time."""
    said: set[str] = set()

    def warn_of(text: str) -> None:
        if text not in said:
            said.add(text)
            warn(text)

    return warn_of


@contextmanager
def progress(about: str) -> Iterator[Progress]:
    """Show on standard error what is being read; elsewhere than on a terminal, only one line in the beginning."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(Text(f"{about} …"), soft_wrap=True)
        yield lambda _: None
        return
    with console.status(Text(f"{about} …")) as status:
        yield lambda text: status.update(Text(f"{about}: {plain(text)}"))


def add_output_flag(parser: argparse.ArgumentParser) -> None:
    """Add the flag that chooses the form of the output."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help="output format (default: text)")


def head(found: Access) -> Text:
    """The server and the settings that count, in one line or a few."""
    filters = found.settings.filters
    mode = "every archived task" if filters.force_delete else "drafts only"
    age = f"older than {filters.delete_threshold_days:g} days"
    if found.settings.policies.policies is not None:
        mode = "by policies" if filters.force_delete else "by policies, but slims nothing and deletes drafts only"
        age = "" if filters.delete_threshold_days == TABLE["delete_threshold_days"].default else age
    words = [found.settings.connection.api_host, *filter(None, [age]), mode]
    words += [f"{env_name(name)}={found.settings.text(name)}" for name in found.given]
    return Text(" · ".join(map(plain, words)), "dim")
