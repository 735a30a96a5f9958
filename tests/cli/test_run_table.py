"""The end of a run: a line for each point, and what all points have in common is not repeated."""

from typing import Any

import pytest

from convarium.cli.run_table import print_runs, select_differing_overrides, shorten_override

COMMON = ["architecture=basic/lenet5", "dataset=mnist5k", "runtime.workers=1"]


def make_run(*overrides: str, error: str | None = None, cause: str | None = None) -> dict[str, Any]:
    metrics = {"accuracy": None if error else 0.9, "file_bytes": 1000, "ratio": 2.0}
    status = "failed" if error else "done"
    return {
        "signature": "ab" * 6, "overrides": [*COMMON, *overrides], "status": status, "error": error, "cause": cause,
        "metrics": metrics,
    }  # fmt: skip


def test_only_what_differs_is_shown() -> None:
    runs = [
        make_run("compression=none", "seed=0"),
        make_run("compression=pruning/magnitude", "compression.magnitude.epochs=1", "seed=0"),
        make_run("compression=pruning/magnitude", "compression.magnitude.epochs=1", "seed=1"),
    ]
    assert select_differing_overrides(runs) == [
        ["compression=none", "seed=0"],
        ["compression=pruning/magnitude", "seed=0"],
        ["compression=pruning/magnitude", "seed=1"],
    ]


def test_what_one_grid_sets_and_another_leaves_open_differs() -> None:
    assert select_differing_overrides([make_run("recipe.lr=0.1"), make_run()]) == [["recipe.lr=0.1"], []]


def test_one_run_shows_all_of_its_overrides() -> None:
    assert select_differing_overrides([make_run("seed=3")]) == [[*COMMON, "seed=3"]]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("compression=pruning/magnitude", "magnitude"),
        ("compression=[pruning/magnitude,coding/huffman]", "[magnitude,huffman]"),
        ("compression=none", "dense"),
        ("compression.magnitude.sparsity=0.9", "magnitude.sparsity=0.9"),
        ("dataset=mnist5k", "mnist5k"),
        ("recipe.lr=0.1", "recipe.lr=0.1"),
        ("seed=0", "seed=0"),
    ],
)
def test_what_differs_is_short(text: str, short: str) -> None:
    assert shorten_override(text) == short


def test_each_point_has_one_line_and_each_reason_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    runs = [make_run(f"seed={seed}", error="lenet5: the loss is NaN" if seed > 8 else None) for seed in range(12)]
    print_runs(runs)
    out, reason = capsys.readouterr()
    assert len(out.splitlines()) == 13
    assert "mnist5k" not in out
    assert reason == "failed: lenet5: the loss is NaN (3 points)\n"


def test_a_failure_has_its_cause_in_a_word_unless_it_has_none_or_that_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_runs([make_run(error=f"it failed by {cause}", cause=cause) for cause in ("out of memory", "error", None)])
    out, reasons = capsys.readouterr()
    assert [line.split("failed")[1].split("  ")[0].strip() for line in out.splitlines()[1:]] == [
        "(out of memory)", "", "",
    ]  # fmt: skip
    assert [line.split(":")[0] for line in reasons.splitlines()] == ["failed (out of memory)", "failed", "failed"]
