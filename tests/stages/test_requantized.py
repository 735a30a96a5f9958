"""The executor that calibrates 8-bit weights anew takes no network whose method gave them other values."""

import pytest

from convarium.cli.network_validation import validate_networks
from convarium.compose.points import compose_points

TINY = ("architecture=mlp", "dataset=digits", "recipe.epochs=1", "measurement.executors=[eager,onnxruntime_int8]")


@pytest.mark.parametrize(
    ("method", "knobs"),
    [
        ("bwn", ("compression=[bwn]", "compression.bwn.first_last_layers=binary")),
        ("kmeans", ("compression=[kmeans]", "compression.kmeans.bits=8")),
        ("levels", ("compression=[levels]",)),
        ("levels", ("compression=[magnitude,levels,huffman]", "compression.levels.quant_max=127")),
        ("uniform", ("compression=[uniform]", "compression.uniform.bits=7")),
        ("uniform", ("compression=[uniform]", "compression.uniform.per_site={fc1*:4}")),
        ("uniform", ("compression=[uniform]", "budget.bytes=3000")),
    ],
)
def test_a_method_whose_values_it_would_lose_is_refused_in_one_line(method: str, knobs: tuple[str, ...]) -> None:
    (invalid,) = validate_networks(compose_points((*TINY, *knobs))).invalid
    assert f"another network than that of quantization/{method}" in invalid.error
    assert "\n" not in invalid.error


def test_only_those_points_of_a_sweep_are_refused() -> None:
    asked = validate_networks(
        compose_points((*TINY, "compression=none,magnitude,[uniform],[levels]", "compression.uniform.bits=4,8"))
    )
    kept = [[step["method"] for step in point.config["compression"]] for point in asked.points]
    assert kept == [[], ["pruning/magnitude"], ["quantization/uniform"]]
    assert len(asked.invalid) == 2


@pytest.mark.parametrize("executors", ["eager", "compiled", "onnxruntime"])
def test_what_runs_the_file_s_own_values_takes_every_method(executors: str) -> None:
    asked = validate_networks(
        compose_points((*TINY[:-1], f"measurement.executors=[{executors}]", "compression=[levels]"))
    )
    assert (len(asked.points), asked.invalid) == (1, ())
