"""Two thin layers in place of one."""

import pytest
import torch
from torch import Tensor, nn

from compression.deciders.structural_views import LENET, build_seeded, describe_architecture, make_network_view
from convarium.compression import decisions
from convarium.compression.deciders.decomposition.svd import check_step, svd
from convarium.errors import UserError

STEP = {
    "method": "decomposition/svd",
    "rank_fraction": 0.25,
    "energy": None,
    "form": "channel",
    "per_site": {},
    "classifier": True,
    "sites": ["*"],
}
FULL = {"conv1.*": 20, "conv2.*": 50, "fc1.*": 500, "fc2.*": 10}


def factored(network: nn.Module, **step: object) -> nn.Module:
    decisions.apply_decision(network, svd(make_network_view(network, LENET, **{**STEP, **step})))
    return network


def ranks(network: nn.Module) -> dict[str, int]:
    names = dict(network.named_parameters())
    return {
        name: names[f"{name}.0.weight"].shape[0]
        for name in ("conv1", "conv2", "fc1", "fc2")
        if f"{name}.0.weight" in names
    }


@pytest.mark.parametrize(("form", "full"), [("channel", FULL), ("spatial", {**FULL, "conv1.*": 5, "conv2.*": 100})])
def test_at_full_rank_the_logits_stay(form: str, full: dict[str, int]) -> None:
    network, images = build_seeded(LENET).eval(), torch.randn(4, 1, 28, 28)
    with torch.no_grad():
        expected = network(images)
        found = factored(network, form=form, per_site=full)
        assert ranks(found) == {name.removesuffix(".*"): rank for name, rank in full.items()}
        assert (found(images) - expected).abs().max() < 1e-4


def test_a_share_of_the_rank_is_kept_and_the_factors_are_balanced() -> None:
    found = factored(build_seeded(LENET))
    assert ranks(found) == {"conv1": 5, "conv2": 12, "fc1": 125, "fc2": 2}
    first, second = found.get_parameter("fc1.0.weight"), found.get_parameter("fc1.1.weight")
    assert torch.allclose(first.norm(), second.norm(), rtol=1e-4)


def test_the_product_is_the_best_of_its_rank() -> None:
    network = build_seeded(LENET)
    weight = network.get_parameter("fc1.weight").detach().clone()
    found = factored(network, per_site={"fc1*": 7}, sites=["fc1*"])
    error = (found.get_parameter("fc1.1.weight") @ found.get_parameter("fc1.0.weight") - weight).square().sum()
    assert torch.allclose(error, torch.linalg.svdvals(weight)[7:].square().sum(), rtol=1e-3)


def test_the_layer_of_the_logits_stays_unless_asked_for() -> None:
    view = make_network_view(build_seeded(LENET), LENET, **STEP)
    assert "fc2" in svd(view).edits[0]["ranks"]
    view = make_network_view(build_seeded(LENET), LENET, **{**STEP, "classifier": False})
    assert svd(view).edits[0]["ranks"].keys() == {"conv1", "conv2", "fc1"}


def test_energy_decides_the_rank() -> None:
    network = build_seeded(LENET)
    with torch.no_grad():
        low: Tensor = torch.randn(500, 3) @ torch.randn(3, 800)
        network.get_parameter("fc1.weight").copy_(low)
    assert ranks(factored(network, energy=0.99, sites=["fc1*"])) == {"fc1": 3}


def test_layers_that_would_not_get_smaller_stay() -> None:
    assert ranks(factored(build_seeded(LENET), rank_fraction=1.0)) == {}
    assert ranks(factored(build_seeded(LENET), rank_fraction=0.6)) == {"fc2": 6, "conv2": 30} | (
        {"fc1": 300} if 300 <= 307 else {}
    )
    depthwise = describe_architecture("lcnet_035", "timm", 32, 3)
    ranked = svd(make_network_view(build_seeded(depthwise), depthwise, **STEP)).edits[0]["ranks"]
    assert ranked
    assert not any("conv_dw" in name for name in ranked)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"per_site": {"fc1*": 501}}, "rank 501 of fc1.weight is not in 1..500"),
        ({"per_site": {"fc1*": 0}}, "rank 0 of fc1.weight is not in 1..500"),
        ({"per_site": {"conv1*": 1.5}}, "1.5 for conv1.weight: write a share in 0..1 or a whole rank"),
        ({"rank_fraction": 1.0}, "no layer gets smaller"),
    ],
)
def test_a_rank_that_no_layer_has_is_refused(step: dict[str, object], told: str) -> None:
    with pytest.raises(UserError, match=told):
        check_step(build_seeded(LENET).to("meta"), {**STEP, **step})
