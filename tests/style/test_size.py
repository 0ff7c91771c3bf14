"""No function is above complexity 12, as radon counts, and no module above 400 lines; what is larger today may only shrink.

`python tests/style/test_size.py` takes what has shrunk off the list of what is larger, and adds nothing to it.
"""

import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from radon.complexity import cc_visit
from radon.visitors import Class, Function

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("cleanup_job", "clearml_sandbox") for path in (ROOT / package).rglob("*.py"))
LIST = Path(__file__).with_name("too_large.toml")
KNOWN = tomllib.loads(LIST.read_text(encoding="utf-8"))
MOST_COMPLEX = 12
LONGEST = 400


def functions(blocks: Iterable[Function | Class]) -> Iterator[Function]:
    """Functions, methods and the functions inside them; radon lists a method beside its class too."""
    for block in blocks:
        if isinstance(block, Function):
            yield block
            yield from functions(block.closures)


def complexities() -> Iterator[tuple[str, int]]:
    for path in MODULES:
        for function in functions(cc_visit(path.read_text(encoding="utf-8"))):
            yield f"{path.name}: {function.fullname}", function.complexity


def lengths() -> Iterator[tuple[str, int]]:
    for path in MODULES:
        yield path.name, len(path.read_text(encoding="utf-8").splitlines())


def judge(sizes: Iterator[tuple[str, int]], limit: int, known: dict[str, int]) -> None:
    large = {name: size for name, size in sizes if size > limit}
    assert not {name: size for name, size in large.items() if size > known.get(name, limit)}, "make these smaller"
    assert not {name: size for name, size in known.items() if large.get(name) != size}, "smaller now: take these off the list"


def test_no_function_is_too_complex() -> None:
    judge(complexities(), MOST_COMPLEX, KNOWN["complexity"])


def test_no_module_is_too_long() -> None:
    judge(lengths(), LONGEST, KNOWN["lines"])


def test_what_is_measured() -> None:
    source = (
        "class A:\n  def outer(a):\n    def inner(b):\n      return b if b else 1\n"
        "    return [x for x in a if x and inner(x)]\n"
    )
    assert [(function.name, function.complexity) for function in functions(cc_visit(source))] == [("outer", 4), ("inner", 2)]
    assert MODULES


def shrink() -> None:
    """Remove the lines of what is small enough, and put the size of today in the others."""
    now = {
        name: size
        for name, size in [*complexities(), *lengths()]
        if size > (LONGEST if name in KNOWN["lines"] else MOST_COMPLEX)
    }
    lines = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        name, equals, size = line.partition(" = ")
        if not equals:
            lines.append(line)
        elif (key := name.strip('"')) in now:
            lines.append(f"{name} = {min(int(size), now[key])}")
    LIST.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    shrink()
