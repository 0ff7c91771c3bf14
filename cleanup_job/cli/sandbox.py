"""``clearml-cleanup sandbox``: the embedded ClearML Server in the foreground."""

import argparse
import gc
import json
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from threading import Event

from cleanup_job.errors import SettingsError
from clearml_sandbox.server import HOST, Fault, ListenError, Request, Sandbox
from clearml_sandbox.worlds.seed import seeded_world


def _number(kind: type[int] | type[float], most: float = float("inf")) -> Callable[[str], float]:
    """A parser of numbers from 0 to ``most``."""

    def number(text: str) -> float:
        value = kind(text)
        if not 0 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text} is not from 0 to {most}")
        return value

    return number


EXAMPLES = (
    ("clearml-cleanup sandbox --tasks 500", "500 tasks, until you press Ctrl-C"),
    ("clearml-cleanup sandbox --api-port 0 --files-port 0 --latency-ms 20", "free ports, and answers that take a while"),
)
"""For the help: ways to call it, each with what it does."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sandbox's flags."""
    parser.add_argument("--host", default=HOST, help=f"address to listen on; 0.0.0.0 for all (default: {HOST})")
    parser.add_argument("--api-url", default="", help="address at which clients reach the API server, if it differs")
    parser.add_argument("--files-url", default="", help="address at which clients reach the fileserver, if it differs")
    parser.add_argument(
        "--api-port", type=_number(int, 65535), default=8008, help="port of the API server; 0 for a free one (default: 8008)"
    )
    parser.add_argument(
        "--files-port",
        type=_number(int, 65535),
        default=8081,
        help="port of the fileserver; 0 for a free one (default: 8081)",
    )
    parser.add_argument("--tasks", type=_number(int), default=1000, help="tasks to start with (default: 1000)")
    parser.add_argument("--seed", type=int, default=7, help="number that the world is made from (default: 7)")
    parser.add_argument("--world", type=Path, help="start with the world in this JSON file instead")
    parser.add_argument("--latency-ms", type=_number(float), default=0, help="milliseconds added to each request (default: 0)")
    parser.add_argument(
        "--error-rate", type=_number(float, 1), default=0, help="share of requests that fail, 0 to 1 (default: 0)"
    )
    parser.add_argument("--key", default="sandbox-key", help="access key (default: sandbox-key)")
    parser.add_argument("--secret", default="sandbox-secret", help="secret key (default: sandbox-secret)")
    parser.add_argument("--api-version", default="2.34", help="API version of the server (default: 2.34)")
    parser.add_argument("--no-files-auth", action="store_true", help="let the fileserver accept requests without a token")
    parser.add_argument("--no-batch", action="store_true", help="let the fileserver refuse /delete_many")


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; one line on standard output says when it is ready."""
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    sandbox = _listening(options)
    _load(sandbox, options)
    gc.freeze()  # the world is never garbage, and searching it again and again would delay answers
    with sandbox:
        print(f"ready: API {sandbox.api_url} files {sandbox.files_url} key {sandbox.key}", flush=True)
        ended.wait()
    return 0


def _listening(options: argparse.Namespace) -> Sandbox:
    try:
        return Sandbox(
            host=options.host,
            api_url=options.api_url.rstrip("/"),
            files_url=options.files_url.rstrip("/"),
            api_port=options.api_port,
            files_port=options.files_port,
            latency=options.latency_ms / 1000,
            key=options.key,
            secret=options.secret,
            fault=_faults(options) if options.error_rate else None,
            allow_batch=not options.no_batch,
            files_auth=not options.no_files_auth,
            max_api_version=options.api_version,
            log_bodies=False,
        )
    except ListenError as error:
        flag = f"--{error.service}-port"
        where = f"--host {options.host} {flag} {getattr(options, f'{error.service}_port')}"
        raise SettingsError(f"can't listen on {where}: {error.why}. Choose another port, or 0 for a free one.") from None


def _load(sandbox: Sandbox, options: argparse.Namespace) -> None:
    if not options.world:
        sandbox.load(seeded_world(options.seed, options.tasks, datetime.now(UTC)) if options.tasks else {})
        return
    try:
        sandbox.load(json.loads(options.world.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsError(f"--world {options.world} can't be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SettingsError(f"--world {options.world} is not a JSON file: {error}") from None
    except (AttributeError, LookupError, TypeError) as error:
        raise SettingsError(f"--world {options.world} is not a world: {type(error).__name__} {error}") from None


def _faults(options: argparse.Namespace) -> Callable[[Request], Fault | None]:
    """Let some requests fail: half of them before they are carried out, half after, some without an answer."""
    chance = Random(options.seed)  # noqa: S311 -- not a secret

    def fault(_: Request) -> Fault | None:
        if chance.random() >= options.error_rate:
            return None
        return Fault(status=chance.choice([None, 503]), after=chance.choice([False, True]))

    return fault
