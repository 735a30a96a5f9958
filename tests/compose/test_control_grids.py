"""A sweep with controls holds every compression against what it must beat."""

from collections.abc import Callable

from convarium.compose.control_grids import build_control_grids
from convarium.compose.points import compose_points
from convarium.config.override import Override

Write = Callable[[str, str], object]
SWEEP = """
description: a try
expected_time: none
controls: true
grids:
  - [architecture=mlp, dataset=digits, compression=quantization/kmeans, 'budget.bytes=8000,16000', 'seed=0,1']
"""


def methods(*arguments: str) -> list[tuple[str, int | None]]:
    found = [point.config for point in compose_points(arguments).check_points()]
    return [("+".join(step["method"] for step in one["compression"]), one["budget"]["bytes"]) for one in found]


def test_the_free_controls_stand_once_a_seed_and_the_others_at_every_budget(write: Write) -> None:
    write("sweeps/tried.yaml", SWEEP)
    found = methods("sweep=tried", "seed=0")
    assert found.count(("quantization/kmeans", 8000)) == 1
    for name in ("", "coding/xz", "control/nncodec"):
        assert found.count((name, None)) == 1
    for name in ("pruning/random", "pruning/magnitude", "control/small_dense"):
        assert [budget for method, budget in found if method == name] == [8000, 16000]
    assert len(methods("sweep=tried")) == 2 * len(found) == 22


def test_a_compression_that_is_typed_has_the_same_controls(write: Write) -> None:
    write("sweeps/tried.yaml", SWEEP)
    found = methods("sweep=tried", "seed=0", "compression=pruning/global_gradual")
    assert ("quantization/kmeans", 8000) not in found
    assert ("pruning/global_gradual", 8000) in found
    assert ("control/small_dense", 16000) in found


def test_a_grid_without_budget_has_the_free_controls_only() -> None:
    assert len(build_control_grids((Override("dataset=digits"), Override("compression=pruning/magnitude")))) == 1
