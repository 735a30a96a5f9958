"""A share of filters that cuts nothing, or too much for a single image, is refused before anything trains."""

import pytest

from convarium.architectures.dry_run import dry_run_architecture
from convarium.compose.points import compose_points
from convarium.compression.run_phases import check_compression_step
from convarium.errors import UserError
from convarium.lookup import allow_packages
from odd_networks import describe_odd_network


def said(architecture: str, *overrides: str) -> str:
    """What is said of the last step on an odd network."""
    (point,) = compose_points(["architecture=mlp", "dataset=digits", *overrides]).points
    with allow_packages(["odd_networks"]):
        network = dry_run_architecture(describe_odd_network(architecture))
    try:
        check_compression_step(network, point.config["compression"][-1])
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("method", ["filter_l1", "small_dense", "kd"])
@pytest.mark.parametrize(("share", "is_refused"), [(0, False), (0.01, True), (0.05, False), (0.9, False)])
def test_a_share_that_cuts_nothing(method: str, share: float, is_refused: bool) -> None:
    """The widest layer of the network has 12 filters."""
    line = said("BUFFER", f"compression={method}", f"compression.{method}.channels_removed={share}")
    knob = f"compression.{method}.channels_removed={share}"
    wanted = f"{knob} cuts nothing: of at most 12 filters of a layer it leaves all"
    assert line == (wanted if is_refused else "")


@pytest.mark.parametrize(("share", "is_refused"), [(0, False), (0.01, True), (0.05, False), (0.9, False)])
def test_of_all_layers_together(share: float, is_refused: bool) -> None:
    line = said(
        "BUFFER",
        "compression=filter_l1",
        "compression.filter_l1.scope=global",
        f"compression.filter_l1.channels_removed={share}",
    )
    assert line == (
        f"compression.filter_l1.channels_removed={share} cuts nothing: of 12 filters it leaves all" * is_refused
    )


def test_a_layer_with_a_share_of_its_own_counts() -> None:
    asked = (
        "compression=filter_l1",
        "compression.filter_l1.channels_removed=0.01",
        "compression.filter_l1.per_site={conv2*:0.5}",
    )
    assert said("BUFFER", *asked) == ""


@pytest.mark.parametrize(("share", "is_refused"), [(0.5, False), (0.75, True), (0.9, True)])
def test_a_share_that_leaves_one_value_a_channel(share: float, is_refused: bool) -> None:
    line = said("POOLED_NORM", "compression=filter_l1", f"compression.filter_l1.channels_removed={share}")
    assert ("leaves too few channels for one image: Expected more than 1 value per channel" in line) == is_refused


def test_a_budget_finds_its_own_ratio() -> None:
    assert said("BUFFER", "compression=filter_l1", "compression.filter_l1.rounds=2", "budget.macs=0.5") == ""
