"""A task that needs another one's outputs is deleted first."""

from hypothesis import given
from hypothesis import strategies as st

from cleanup_job.planning.order import Order, Unit
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


# -- several windows
def test_a_maker_of_a_later_window_waits_for_a_user_of_an_earlier_one() -> None:
    order = Order(ids("user"), {})
    order.take(9, EVERYTHING)
    order.add(ids("maker", "free"), holds(user=["maker"]))
    assert order.take(9, EVERYTHING) == [("free",)]
    order.deleted(("user",))
    assert order.take(9, EVERYTHING) == [("maker",)]


def test_a_maker_of_a_later_window_is_kept_with_a_user_of_an_earlier_one() -> None:
    order = Order(ids("user"), {})
    order.take(9, EVERYTHING)
    order.add(ids("maker"), holds(user=["maker"]))
    assert list(order.kept(("user",))) == [(("maker",), ("user",))]
    assert len(order) == 0


def test_a_maker_waits_for_a_whole_unit_of_an_earlier_window() -> None:
    order = Order(ids("a", "b"), holds(a=["b"], b=["a"]))
    assert order.take(9, EVERYTHING) == [("a", "b")]
    order.add(ids("maker"), holds(b=["maker"]))
    assert order.take(9, EVERYTHING) == []
    order.deleted((TaskId("a"), TaskId("b")))
    assert order.take(9, EVERYTHING) == [("maker",)]


def test_what_is_known_of_an_earlier_window_holds_nothing() -> None:
    order = Order(ids("gone", "kept"), {})
    order.take(9, EVERYTHING)
    order.deleted(("gone",))
    list(order.kept(("kept",)))
    order.add(ids("maker"), holds(gone=["maker"], kept=["maker"]))
    assert order.take(9, EVERYTHING) == [("maker",)]


def test_what_is_left_of_an_earlier_window_comes_before_a_later_one() -> None:
    order = Order(ids("a", "b"), {})
    order.add(ids("c"), {})
    assert len(order) == 3
    assert order.take(9, EVERYTHING) == [("a",), ("b",), ("c",)]


def test_a_task_is_in_it_until_it_is_known_what_became_of_it() -> None:
    order = Order(ids("user", "maker", "other"), holds(user=["maker"]))
    order.take(9, EVERYTHING)
    assert TaskId("user") in order
    assert TaskId("maker") in order
    list(order.kept(("user",)))
    order.deleted(("other",))
    assert not any(task in order for task in ids("user", "maker", "other", "stranger"))


def test_nothing_is_remembered_of_windows_that_are_done() -> None:
    order = Order()
    for number in range(5):
        order.add(ids(f"user {number}", f"maker {number}"), holds(**{f"user {number}": [f"maker {number}"]}))
        while units := order.take(9, EVERYTHING):
            for unit in units:
                order.deleted(unit)
    assert [len(some) for some in (order._unit_of, order._held, order._waiting, order._ready)] == [0, 0, 0, 0]


# -- taken back
def test_a_unit_that_is_ready_can_be_taken_back() -> None:
    order = Order(ids("a", "b", "c"), holds(a=["b"], b=["a"]))
    assert order.withdraw(TaskId("b")) == ("a", "b")
    assert len(order) == 1
    assert order.take(9, EVERYTHING) == [("c",)]


def test_a_unit_that_waits_can_be_taken_back_and_is_not_released_any_more() -> None:
    order = Order(ids("user", "maker", "first"), holds(user=["maker"], maker=["first"]))
    order.take(9, EVERYTHING)
    assert order.withdraw(TaskId("maker")) == ("maker",)
    assert list(order.kept(("maker",))) == [(("first",), ("maker",))]
    assert len(order) == 0
    order.deleted(("user",))
    assert order.take(9, EVERYTHING) == []


def test_what_is_not_there_any_more_can_not_be_taken_back() -> None:
    order = Order(ids("a"), {})
    order.take(9, EVERYTHING)
    order.deleted(("a",))
    assert order.withdraw(TaskId("a")) == ()
    assert order.withdraw(TaskId("stranger")) == ()
    assert len(order) == 0


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=30),
    st.lists(st.integers(0, 3), min_size=10, max_size=10),
    st.sets(st.integers(0, 9), max_size=3),
    st.integers(1, 5),
)
def test_in_any_graph_in_windows_none_goes_before_its_holders_and_nothing_is_remembered(
    edges: list[tuple[int, int]], windows: list[int], kept: set[int], limit: int
) -> None:
    """Only a holder of the same window, or of an earlier one, is known; tasks of ``kept`` are kept when they come."""
    order, gone, held = Order(), list[Unit](), set[TaskId]()
    known = [(holder, maker) for holder, maker in edges if windows[holder] <= windows[maker]]
    together = [(f"t{holder}", f"t{maker}") for holder, maker in known if windows[holder] == windows[maker]]
    for number in range(4):
        of_window = [n for n in range(10) if windows[n] == number]
        there = [(h, m) for h, m in known if m in of_window and (h in of_window or TaskId(f"t{h}") in order)]
        order.add(ids(*(f"t{n}" for n in of_window)), _mapping(there))
        for unit in order.take(limit, EVERYTHING):
            _end(order, unit, kept, gone, held)
    while units := order.take(limit, EVERYTHING):
        for unit in units:
            _end(order, unit, kept, gone, held)
    assert len(order) == 0
    assert sorted([*(task for unit in gone for task in unit), *held]) == sorted(f"t{n}" for n in range(10))
    assert [len(some) for some in (order._unit_of, order._ready)] == [0, 0]
    last = {task: number for number, unit in enumerate(gone) for task in unit}
    for holder, maker in together:
        assert maker in held or (holder not in held and last[holder] <= last[maker])


def _mapping(edges: list[tuple[int, int]]) -> dict[TaskId, list[TaskId]]:
    found: dict[TaskId, list[TaskId]] = {}
    for holder, maker in edges:
        found.setdefault(TaskId(f"t{holder}"), []).append(TaskId(f"t{maker}"))
    return found


def _end(order: Order, unit: Unit, kept: set[int], gone: list[Unit], held: set[TaskId]) -> None:
    if {int(task[1:]) for task in unit} & kept:
        held.update(unit)
        held.update(task for maker, _ in order.kept(unit) for task in maker)
    else:
        gone.append(unit)
        order.deleted(unit)
