"""The benchmark runs, deletes all that it measures, and its page says what was missed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))

import page  # noqa: E402 -- a script's neighbour

PAGE = f"# Performance\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n"


def row(who: str, tasks: int, seconds: float, **more: object) -> dict[str, object]:
    where = {"events": False, "workers": 4, "real": False, "requests": 1, "mib": 100}
    return {"who": who, "tasks": tasks, "seconds": seconds, **where, **more}


def test_a_small_run_fills_the_page(tmp_path: Path) -> None:
    written, figures = tmp_path / "page.md", tmp_path / "figures.jsonl"
    written.write_text(PAGE, encoding="utf-8")
    command = [sys.executable, "benchmarks/run.py", "--sizes", "20", "--workers", "2"]
    done = subprocess.run(
        [*command, "--figures", figures, "--page", written], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in {0, 1}, done.stderr
    rows = [json.loads(line) for line in figures.read_text(encoding="utf-8").splitlines()]
    assert [(r["who"], r.get("events")) for r in rows] == [
        ("nothing", None), ("floor", False), ("ours", False), ("floor", True), ("ours", True),
    ]  # fmt: skip
    assert all(r["seconds"] > 0 and r["mib"] > 10 for r in rows)
    text = written.read_text(encoding="utf-8")
    assert text.startswith("# Performance\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "| 20 | with |" in text


def test_a_simulated_pass_asks_what_a_pass_asks() -> None:
    import simulation  # noqa: PLC0415 -- likewise

    took = simulation.Simulation(10_000, 1, 4, events=False).run()
    pages, batches, chunks = 3 * 20, 20, 20 * 20  # of tasks, and of models and tasks for their claims
    assert took.requests == pages + 2 * batches + 7 * chunks
    assert 0 < took.pod < took.server <= 1
    assert simulation.Simulation(10_000, 1, 1, events=False).run().hours > 2 * took.hours


def test_what_a_pass_keeps_of_its_tasks_is_measured() -> None:
    import simulation  # noqa: PLC0415 -- likewise

    assert simulation.mib_of(1_000) >= 0  # a peak, which this process may have reached before


@pytest.mark.parametrize(("seconds", "met"), [(3.0, True), (3.01, False)])
def test_a_target_that_is_missed_is_told(seconds: float, met: bool) -> None:
    figures = page.Figures([row("floor", 100, 1.0, real=True), row("ours", 100, seconds, real=True)])
    time = next(page.targets(figures))
    assert time.met is met
    assert ("MISSED" in str(time)) is not met
    assert ("**missed**" in page.tables(figures)) is not met


def test_growth_is_an_exponent() -> None:
    figures = page.Figures([row("ours", 1_000, 1.0), row("ours", 100_000, 100.0)])
    assert figures.exponent("ours", events=False) == pytest.approx(1.0)
    assert figures.exponent("floor", events=False) is None
