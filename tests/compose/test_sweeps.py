"""A sweep is a saved command line; what is typed replaces what it says."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.compose.points import compose_points
from convarium.errors import UserError

TWO = """
description: dense and pruned
expected_time: a second
grids:
  - [compression=none, "seed=0,1"]
  - ["compression=magnitude", "compression.magnitude.sparsity=0.5,0.6", "seed=0,1"]
"""


@pytest.fixture
def two(write: Callable[[str, str], Path]) -> Path:
    return write("sweeps/two.yaml", TWO)


@pytest.mark.usefixtures("two")
def test_the_union_of_its_grids_is_taken() -> None:
    asked = compose_points(["sweep=two"])
    assert (len(asked.points), asked.sweep) == (6, "two")
    assert compose_points(["sweep=two", "sweep=two"]).points == asked.points


@pytest.mark.usefixtures("two")
def test_a_typed_key_replaces_the_sweep_s_in_every_grid() -> None:
    asked = compose_points(["sweep=two", "seed=7", "compression.magnitude.sparsity=0.9"])
    assert [point.config["seed"] for point in asked.points] == [7, 7]
    assert asked.points[1].config["compression"][0]["sparsity"] == 0.9


@pytest.mark.usefixtures("two")
def test_another_compression_may_leave_the_sweep_s_knobs_without_a_method() -> None:
    assert len(compose_points(["sweep=two", "compression=none"]).points) == 2


def test_invalid_points_are_left_out_only_if_the_file_says_so(write: Callable[[str, str], Path]) -> None:
    text = TWO.replace("0.5,0.6", "0.5,1.5")
    write("sweeps/strict.yaml", text)
    write("sweeps/loose.yaml", text + "skip_invalid: true\n")
    assert len(compose_points(["sweep=loose"]).check_points()) == 4
    with pytest.raises(UserError, match=r"sparsity=1\.5"):
        compose_points(["sweep=strict"]).check_points()


def test_ours_are_found_from_anywhere(here: Path) -> None:
    assert compose_points(["sweep=deep_compression"]).points


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("description: a\n", "expected_time is missing"),
        ("description: a\nexpected_time: b\ngrids: [[seed]]\n", "'seed' in grids is not an override"),
        ("description: a\nexpected_time: b\ngrids: [[sweep=two]]\n", "a sweep can't hold another"),
        ("description: [a\n", "bad.yaml line 2: no YAML"),
        ("description: a\nexpected_time: b\ngrid: []\n", "grid: no such key (did you mean grids?)"),
        ("- seed=0\n", "expected keys and values"),
    ],
)
def test_a_file_that_is_no_sweep_is_told_in_one_line(text: str, said: str, write: Callable[[str, str], Path]) -> None:
    write("sweeps/bad.yaml", text)
    with pytest.raises(UserError) as error:
        compose_points(["sweep=bad"])
    assert said in str(error.value)
    assert "\n" not in str(error.value)
