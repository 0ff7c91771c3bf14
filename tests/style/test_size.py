"""No function is above complexity 12, as radon counts, and no module above 400 lines."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from radon.complexity import cc_visit
from radon.visitors import Class, Function

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(path for package in ("cleanup_job", "clearml_sandbox") for path in (ROOT / package).rglob("*.py"))
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


def test_no_function_is_too_complex() -> None:
    assert not {name: complexity for name, complexity in complexities() if complexity > MOST_COMPLEX}


def test_no_module_is_too_long() -> None:
    assert not {name: lines for name, lines in lengths() if lines > LONGEST}


def test_what_is_measured() -> None:
    source = (
        "class A:\n  def outer(a):\n    def inner(b):\n      return b if b else 1\n"
        "    return [x for x in a if x and inner(x)]\n"
    )
    assert [(function.name, function.complexity) for function in functions(cc_visit(source))] == [("outer", 4), ("inner", 2)]
    assert MODULES
