"""The benchmark runs, deletes all that it measures, and its page says what was missed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clearml_sandbox.server import Request

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import page  # noqa: E402 -- a script's neighbour

PAGE = f"# Performance\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n"


def row(who: str, tasks: int, seconds: float, **more: object) -> dict[str, object]:
    where = {"events": False, "workers": 4, "real": False, "requests": 1, "mib": 100, "process_seconds": 1.0}
    return {"who": who, "tasks": tasks, "seconds": seconds, **where, **more}


def measured(*options: object, figures: Path) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "benchmarks/run.py", "--figures", figures, *map(str, options)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in {0, 1}, done.stderr
    assert not done.stderr
    return [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]


def test_a_small_run_fills_the_page(tmp_path: Path) -> None:
    written = tmp_path / "page.md"
    written.write_text(PAGE, encoding="utf-8")
    options = ["--sizes", 20, "--workers", 2, "--growth", 20, "--sharded", 20, "--page", written]
    rows = measured(*options, figures=tmp_path / "figures.jsonl")
    assert [(r["who"], r.get("what"), r.get("events")) for r in rows] == [
        ("nothing", None, None),
        ("floor", None, False), ("ours", None, False), ("floor", None, True), ("ours", None, True),
        ("endless", "all", None), ("endless", "shards", None),
    ]  # fmt: skip
    assert all(r["seconds"] > 0 and r["mib"] > 10 for r in rows)
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# Performance\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 20 | with |" in text
    assert "| 20 | all are deleted |" in text
    assert "requests of 4 shards" in text


def test_what_takes_long_is_measured_where_it_is_asked_for_and_the_rest_kept(tmp_path: Path) -> None:
    figures = tmp_path / "figures.jsonl"
    figures.write_text(json.dumps({"part": "nothing", **row("nothing", 0, 1.0)}) + "\n", encoding="utf-8")
    rows = measured("--only", "memory", "claims", "--memory", 30, 200, "--claims", 60, figures=figures)
    assert [(r["who"], r.get("what")) for r in rows] == [
        ("nothing", None), ("endless", "dry"), ("endless", "kept"), ("endless", "claims"), ("paging", None),
    ]  # fmt: skip
    ours, paging = rows[-2:]
    assert ours["claims_requests"] == 3  # models, tasks, and who made the models that these list
    assert paging["requests"] >= 2
    assert ours["before_deletion"] > 0
    targets = [target.text for target in page.targets(page.Figures(rows))]
    assert any("60 records for their claims" in text for text in targets)


def test_real_times_are_those_of_the_page_that_is_asked_for() -> None:
    import measured as real  # noqa: PLC0415 -- likewise

    server = real.Server({"tasks": 100_000, "models": 1_000}.__getitem__, events=False)
    page_of = [b'{"id": "a"}, ' * number for number in (500, 2)]
    times = [
        server.seconds(Request(1, "api", "POST", call, body), answer)
        for call, body, answer in (
            ("tasks.get_all", {"order_by": ["last_update"]}, page_of[0]),
            ("models.get_all", {"order_by": ["last_update"]}, page_of[0]),
            ("tasks.get_all", {"id": ["a", "b"]}, page_of[1]),
            ("tasks.get_all", {"models.input.model": ["a"]}, b""),
        )
    ]
    assert times == pytest.approx([0.45, 0.1035, 0.0054, 0.005])


def test_a_simulated_pass_asks_what_a_pass_asks() -> None:
    import simulation  # noqa: PLC0415 -- likewise

    took = simulation.Simulation(10_000, 1, 4, events=False).run()
    pages, batches, chunks = 20, 20, 20 * 20
    assert took.requests == 3 * pages + 3 * pages + 4 * batches + 7 * chunks  # claims, windows, batches
    assert 0 < took.pod < took.server <= 1
    assert 0 < took.claims_hours < took.hours
    assert simulation.Simulation(10_000, 1, 1, events=False).run().hours > 2 * took.hours
    assert simulation.Simulation(10_000, 1, 4, events=False, indexed=False).run().hours > took.hours


def test_simulated_shards_list_only_their_own_tasks() -> None:
    import simulation  # noqa: PLC0415 -- likewise

    one, four = (simulation.Simulation(10_000, shards, 4, events=False).run() for shards in (1, 4))
    assert four.requests - one.requests == 3 * 3 * 20  # the claims, three times more


@pytest.mark.parametrize(("seconds", "met"), [(1.25, True), (1.26, False)])
def test_a_target_that_is_missed_is_told(seconds: float, met: bool) -> None:
    figures = page.Figures([row("floor", 100, 1.0, real=True), row("ours", 100, seconds, real=True)])
    time = next(page.targets(figures))
    assert time.met is met
    assert ("MISSED" in str(time)) is not met
    assert ("**missed**" in page.tables(figures)) is not met


def test_growth_is_an_exponent() -> None:
    figures = page.Figures([row("endless", 1_000, 1.0, what="all"), row("endless", 1_000_000, 1_000.0, what="all")])
    small, large = (figures.row("endless", tasks=tasks) for tasks in (1_000, 1_000_000))
    assert figures.exponent(small, large) == pytest.approx(1.0)
    assert figures.exponent(None, large) is None


def test_a_known_miss_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = page.Figures([row("nothing", 0, 1.0, process_seconds=0.65, requests=4)])
    monkeypatch.setattr(page, "KNOWN", {})
    time = next(page.targets(figures))
    assert not time.as_known
    monkeypatch.setitem(page.KNOWN, time.text, 0.7)
    time = next(page.targets(figures))
    assert time.as_known
    assert not time.met
