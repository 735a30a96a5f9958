import io
import re
from pathlib import Path

import pytest

from convarium.workers.progress import (
    ProgressLines,
    ProgressTable,
    WaitLines,
    build_progress_display,
    format_duration,
    format_figures,
    format_report,
)
from store.fake_run import launch_in_thread, make_fake_node, make_fake_plan, run_plan_with


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_tells_of_each_stage(tmp_path: Path) -> None:
    stream = io.StringIO()
    good, bad = make_fake_node("good"), make_fake_node("bad", stage="fail", how="stage")
    run_plan_with(ProgressLines(stream), make_fake_plan(good, bad), tmp_path, launch_in_thread, 1)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("2 stages to run with 1 worker, about ")
    assert sorted(line.split("] ")[1].split(" in ")[0] for line in lines[1:]) == [
        "store.fake_stage:fail bad failed: the loss is NaN",
        "store.fake_stage:step good done",
    ]
    assert [line.split("]")[0] for line in lines[1:]] == ["[1/2", "[2/2"]


def test_stages_that_were_done_before_are_not_counted(tmp_path: Path) -> None:
    done, first, second = make_fake_node("done"), make_fake_node("first"), make_fake_node("second")
    run_plan_with(build_progress_display(quiet=True), make_fake_plan(done), tmp_path, launch_in_thread, 1)
    stream = io.StringIO()
    run_plan_with(ProgressLines(stream), make_fake_plan(done, first, second), tmp_path, launch_in_thread, 1)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("2 stages to run with 1 worker, about ")
    assert [line.split("]")[0] for line in lines[1:]] == ["[1/2", "[2/2"]


def test_a_stage_without_a_report_leaves_no_cell_blank() -> None:
    assert format_report("train", {}) == ("starting", "-", "-")
    assert format_report("measure", {"phase": None, "epoch": None, "loss": None}) == ("running", "-", "-")
    report = {"phase": "train", "epoch": 1, "epochs": 8, "loss": 0.5}
    assert format_report("train", report) == ("train", "1/8", "loss 0.5")


def test_on_a_terminal_one_table_tells_what_runs_and_how_far_it_is(tmp_path: Path) -> None:
    stream = Terminal()
    slow, bad = make_fake_node("slow", epochs=4, seconds=0.4), make_fake_node("bad", stage="fail", how="stage")
    run_plan_with(ProgressTable(stream), make_fake_plan(slow, bad), tmp_path, launch_in_thread, 1)
    text = stream.getvalue()
    for word in ("stages left, about", "slow", "failed: the loss is NaN"):
        assert word in text
    assert re.search(r"fake +[1-4]/4 +loss [01]", text)


def test_what_fits_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Terminal())
    assert isinstance(build_progress_display(False), ProgressTable)
    assert isinstance(build_progress_display(True), WaitLines)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(build_progress_display(False), ProgressLines)


def test_figures_and_times_are_readable() -> None:
    metrics = {"accuracy": 0.97812, "file_bytes": 43120, "latency_ms": None, "other": 1}
    assert format_figures(metrics, ("accuracy", "file_bytes", "latency_ms")) == "accuracy 0.9781, file bytes 43,120"
    assert [format_duration(seconds) for seconds in (0.42, 34.2, 125, 11400)] == [
        "0.4 s",
        "34 s",
        "2 min 5 s",
        "3 h 10 min",
    ]
