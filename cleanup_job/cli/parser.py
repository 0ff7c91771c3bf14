"""The parser of a command: help that people can take in, and what was probably meant by a mistyped name.

It imports nothing that is slow: `--help` must not wait for libraries.
"""

import argparse
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from cleanup_job.redaction import redacted

WIDTH = 80
"""Columns that help takes at most, for which all of its texts are made."""


class Rare(str):
    """The help of a flag that few people need: only ``--help-all`` shows it."""

    __slots__ = ()


class _Formatter(argparse.HelpFormatter):
    """Keeps the lines of a text that has several, breaks none at the hyphen of a flag, and sums flags up in the usage."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"max_help_position": 20, "width": WIDTH - 2, **options})

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None = None) -> None:
        actions = list(actions)
        if usage is None and any(action.option_strings for action in actions):
            words = [self._format_args(one, one.dest.upper()) for one in actions if not one.option_strings]
            usage = " ".join(["%(prog)s", *words, "[flags]"])
        super().add_usage(usage, actions, groups, prefix)

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.nargs == argparse.PARSER:
            self._action_max_length += 2  # commands are indented, which argparse forgets: the longest got a line of its own

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" in text:
            return textwrap.indent(text, indent)
        return textwrap.fill(
            " ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )


class Parser(argparse.ArgumentParser):
    """Shows rarely used flags on demand, and complains about arguments without printing secrets."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": _Formatter, "allow_abbrev": False, **options})

    @property
    def flags(self) -> list[str]:
        """All flags, in order."""
        return [flag for action in self._actions for flag in action.option_strings]

    @property
    def has_rare_flags(self) -> bool:
        """Whether ``--help`` leaves something out."""
        return any(isinstance(action.help, Rare) for action in self._actions)

    def offer_all_help(self) -> None:
        """Add ``--help-all`` if ``--help`` leaves something out."""
        if self.has_rare_flags:
            self.add_argument("--help-all", action=_HelpAll, help="show rarely used flags, too, and exit")

    def format_help(self) -> str:
        """The help without rarely used flags."""
        rare = {action: action.help for action in self._actions if isinstance(action.help, Rare)}
        for action in rare:
            action.help = argparse.SUPPRESS
        try:
            return super().format_help()
        finally:
            for action, text in rare.items():
                action.help = text

    def format_all_help(self) -> str:
        """The help with all flags."""
        return super().format_help()

    def refuse_arguments(self, unknown: Sequence[str]) -> NoReturn:
        """Complain about the first of some arguments that the parser doesn't know."""
        name = unknown[0].partition("=")[0]
        self.refuse(f"{'unknown flag' if name.startswith('-') else 'unexpected argument'} {name}", name, self.flags)

    def refuse(self, message: str, name: str, known: Iterable[str]) -> NoReturn:
        """Complain about a name, and say which one was probably meant."""
        from cleanup_job.settings.mistakes import meant  # noqa: PLC0415 -- slow to import, and only mistakes need it

        everything = "--help-all" if self.has_rare_flags else "--help"
        self.error(f"{message}; {meant(name, known, f'`{self.prog} {everything}` lists them all.')} Nothing was done.")

    def error(self, message: str) -> NoReturn:
        """End with exit code 2, without a usage in which the message would get lost."""
        self.exit(2, f"{self.prog}: error: {redacted(message)}\n")


class _HelpAll(argparse.Action):
    """``--help-all``."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, default=argparse.SUPPRESS, **options)
        del dest

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        assert isinstance(parser, Parser)  # noqa: S101 -- no other parser has the flag
        print(parser.format_all_help(), end="")
        parser.exit()


def examples(them: Iterable[tuple[str, str]]) -> str:
    """Commands with what each does, as help shows them below the flags."""
    return "\n".join(["examples:", *(f"  {command}\n      {text}" for command, text in them)])
