"""One changed byte of an audit log is found; a line that was cut off while it was written is told apart."""

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.report.audit_chain import Chain, hash_of_settings, links

SETTINGS = [["CLEANUP_WORKERS", "4"]]


def log(lines: int = 5) -> bytes:
    chain = Chain(hash_of_settings(SETTINGS))
    first = chain.line({"event": "begin", "settings": SETTINGS})
    more = (
        chain.line({"event": "delete", "task": f"{n:032x}", "paths": [{"sha256": "0" * 64}], "nämé": "\n"})
        for n in range(lines)
    )
    return first + b"".join(more)


WHOLE = log()
STARTS = [0, *(at + 1 for at, byte in enumerate(WHOLE) if byte == ord("\n"))]


def state(data: bytes) -> tuple[int, bool, str]:
    """Lines as they were written, whether it is torn, and what is wrong after them."""
    found = list(links(io.BytesIO(data)))
    return sum(not (one.problem or one.torn) for one in found), found[-1].torn, found[-1].problem


def test_a_log_as_it_was_written() -> None:
    assert state(WHOLE) == (6, False, "")
    assert [link.fields.get("event") for link in links(io.BytesIO(WHOLE))] == ["begin"] + ["delete"] * 5


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_one_changed_byte_is_found_wherever_it_is(at: int, difference: int) -> None:
    changed = bytearray(WHOLE)
    changed[at] ^= difference
    whole, torn, problem = state(bytes(changed))
    assert problem
    assert not torn
    assert whole == sum(start <= at for start in STARTS) - 1


@given(st.integers(0, len(WHOLE) - 1))
def test_a_log_that_was_cut_off_is_torn_or_ends_with_a_whole_line(end: int) -> None:
    whole, torn, problem = state(WHOLE[:end])
    assert not problem
    assert torn is (end not in STARTS[1:])
    assert whole == sum(start <= end for start in STARTS) - 1


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:2] + lines[3:],
        lambda lines: lines[1:],
        lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
        lambda lines: [*lines[:3], *lines[2:]],
        lambda lines: [*lines[:2], lines[2][:-9], *lines[3:]],
        lambda lines: [*lines[:2], b"\n", *lines[2:]],
        lambda lines: [*lines, b"x"],
        lambda lines: [log(1).splitlines(keepends=True)[1], *lines],
    ],
    ids=["removed", "without the first", "swapped", "twice", "cut in the middle", "blank", "appended", "another's first"],
)
def test_whole_lines_that_were_moved_are_found(change: Callable[[list[bytes]], list[bytes]]) -> None:
    _, torn, problem = state(b"".join(change(WHOLE.splitlines(keepends=True))))
    assert problem
    assert not torn


def test_a_first_line_with_other_settings_does_not_fit_its_own_hash() -> None:
    chain = Chain(hash_of_settings(SETTINGS))
    assert state(chain.line({"event": "begin", "settings": [["CLEANUP_WORKERS", "5"]]}))[2]


def test_an_empty_file_is_torn_and_something_else_is_no_log() -> None:
    assert state(b"") == (0, True, "")
    assert state(b"{}\n")[2]
    assert state(b"[" * 100_000)[2]
