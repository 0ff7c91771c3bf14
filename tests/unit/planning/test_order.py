"""A task that needs another one's outputs is deleted first."""

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.order import Order
from cleanup_job.planning.paths import TaskId

EVERYTHING = 10_000


def ids(*names: str) -> list[TaskId]:
    return [TaskId(name) for name in names]


def holds(**edges: list[str]) -> dict[TaskId, list[TaskId]]:
    return {TaskId(holder): ids(*makers) for holder, makers in edges.items()}


def test_tasks_without_references_come_in_the_order_given_and_in_batches() -> None:
    order = Order(ids("c", "a", "b"), {})
    assert order.take(2, EVERYTHING) == [("c",), ("a",)]
    assert len(order) == 1
    assert order.take(2, EVERYTHING) == [("b",)]
    assert order.take(2, EVERYTHING) == []


def test_the_maker_waits_until_its_user_is_gone() -> None:
    order = Order(ids("maker", "user"), holds(user=["maker"]))
    assert order.take(9, EVERYTHING) == [("user",)]
    assert order.take(9, EVERYTHING) == []
    order.deleted(("user",))
    assert order.take(9, EVERYTHING) == [("maker",)]


def test_a_user_that_is_kept_keeps_its_maker_and_the_makers_maker() -> None:
    order = Order(ids("user", "maker", "first"), holds(user=["maker"], maker=["first"]))
    order.take(9, EVERYTHING)
    assert list(order.kept(("user",))) == [(("maker",), ("user",)), (("first",), ("maker",))]
    assert len(order) == 0
    assert order.take(9, EVERYTHING) == []


def test_tasks_that_hold_on_to_each_other_are_deleted_as_one_unit() -> None:
    order = Order(ids("a", "b", "c"), holds(a=["b"], b=["a"], c=["a"]))
    assert order.take(9, EVERYTHING) == [("c",)]
    order.deleted(("c",))
    assert order.take(1, EVERYTHING) == [("a", "b")]


def test_a_unit_that_the_budget_does_not_hold_is_left() -> None:
    order = Order(ids("a", "b"), holds(a=["b"], b=["a"]))
    assert order.take(9, 1) == []
    assert len(order) == 2


def test_a_chain_of_thousands_is_no_problem() -> None:
    names = [f"t{n}" for n in range(5000)]
    order = Order(ids(*names), {TaskId(f"t{n}"): [TaskId(f"t{n + 1}")] for n in range(4999)})
    assert order.take(9, EVERYTHING) == [("t0",)]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=40), st.integers(1, 5))
def test_in_any_graph_all_come_once_and_no_task_before_its_holders(edges: list[tuple[int, int]], limit: int) -> None:
    names = ids(*(f"t{n}" for n in range(13)))
    held: dict[TaskId, list[TaskId]] = {}
    for holder, maker in edges:
        held.setdefault(names[holder], []).append(names[maker])
    order = Order(names, held)
    gone: list[TaskId] = []
    while units := order.take(limit, EVERYTHING):
        for unit in units:
            for maker in unit:
                holders = {h for h, makers in held.items() if maker in makers}
                assert holders <= set(gone) | set(unit)
        for unit in units:
            gone += unit
            order.deleted(unit)
    assert sorted(gone) == sorted(names)
    assert len(order) == 0


def test_a_unit_that_waits_comes_only_when_all_that_hold_on_to_it_are_gone() -> None:
    order = Order(ids("one", "two", "maker"), holds(one=["maker", "maker"], two=["maker"]))
    assert order.take(9, EVERYTHING) == [("one",), ("two",)]
    order.deleted(("one",))
    assert order.take(9, EVERYTHING) == []
    order.deleted(("two",))
    order.deleted(("two",))
    assert order.take(9, EVERYTHING) == [("maker",)]
    assert len(order) == 0


def test_what_is_not_wanted_holds_nothing_and_is_not_waited_for() -> None:
    order = Order(ids("a", "b"), holds(stranger=["a"], a=["stranger", "a"], b=[]))
    assert order.take(9, EVERYTHING) == [("a",), ("b",)]
    order.deleted(("a",))
    assert order.take(9, EVERYTHING) == []
    assert len(order) == 0


def test_a_task_that_is_given_twice_comes_once() -> None:
    order = Order(ids("a", "b", "a"), {})
    assert len(order) == 2
    assert order.take(9, EVERYTHING) == [("a",), ("b",)]


def test_a_unit_larger_than_the_limit_comes_alone() -> None:
    order = Order(ids("x", "a", "y"), holds(a=["b"], b=["c"], c=["a"]) | {})
    assert order.take(2, EVERYTHING) == [("x",), ("a",)]
    order = Order(ids("x", "a", "b", "c", "y"), holds(a=["b"], b=["c"], c=["a"]))
    assert order.take(2, EVERYTHING) == [("x",)]
    assert order.take(2, EVERYTHING) == [("a", "b", "c")]
    assert len(order) == 1
    assert order.take(2, EVERYTHING) == [("y",)]


def test_units_fill_a_call_to_its_limit_and_no_further() -> None:
    order = Order(ids("a", "b", "c", "d", "e"), holds(b=["c"], c=["b"]))
    assert order.take(3, EVERYTHING) == [("a",), ("b", "c")]
    assert order.take(3, EVERYTHING) == [("d",), ("e",)]
    order = Order(ids("a", "b", "c", "d", "e"), holds(b=["c"], c=["b"]))
    assert order.take(9, 2) == [("a",)]
    assert order.take(9, 2) == [("b", "c")]
    assert Order(ids("a", "b"), holds(a=["b"], b=["a"])).take(1, 2) == [("a", "b")]


def test_makers_that_are_released_together_come_in_a_fixed_order_after_what_is_ready() -> None:
    order = Order(ids("user", "z", "m", "b", "a"), holds(user=["b", "a", "m"]))
    assert order.take(1, EVERYTHING) == [("user",)]
    order.deleted(("user",))
    assert order.take(9, EVERYTHING) == [("z",), ("a",), ("b",), ("m",)]


def test_a_maker_that_two_hold_on_to_is_kept_once_and_takes_its_own_along() -> None:
    order = Order(ids("one", "two", "maker", "first", "free"), holds(one=["maker"], two=["maker"], maker=["first"]))
    order.take(2, EVERYTHING)
    assert list(order.kept(("one",))) == [(("maker",), ("one",)), (("first",), ("maker",))]
    assert len(order) == 1
    assert list(order.kept(("two",))) == []
    order.deleted(("two",))
    assert order.take(9, EVERYTHING) == [("free",)]
    assert order.take(9, EVERYTHING) == []


def test_cycles_that_touch_are_one_unit_and_cycles_that_only_hold_on_are_two() -> None:
    order = Order(ids("a", "b", "c", "d", "e"), holds(a=["b"], b=["a", "c"], c=["b"], d=["e", "a"], e=["d"]))
    assert order.take(9, EVERYTHING) == [("d", "e")]
    order.deleted(("d", "e"))
    assert order.take(9, EVERYTHING) == [("a", "b", "c")]


def test_a_unit_is_found_from_wherever_one_begins() -> None:
    for first in "abcdef":
        names = [first, *(name for name in "abcdef" if name != first)]
        edges = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["e"], "e": ["f"], "f": ["d"]}
        order = Order(ids(*names), {TaskId(name): ids(*edges[name]) for name in names})
        assert order.take(9, EVERYTHING) == [("a", "b", "c")]
        order.deleted((TaskId("a"), TaskId("b"), TaskId("c")))
        assert order.take(9, EVERYTHING) == [("d", "e", "f")]
