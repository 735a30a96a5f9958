"""Which grid a site's weights lie on: levels, uniform, binary."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.compression.deciders.interface import NetworkView
from convarium.compression.deciders.pruning.magnitude import magnitude
from convarium.compression.deciders.quantization import scale_search
from convarium.compression.deciders.quantization.bwn import bwn, check_step
from convarium.compression.deciders.quantization.levels import levels
from convarium.compression.deciders.quantization.uniform import uniform
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.base import Representation
from convarium.representations.levels import Levels
from convarium.representations.sparse import Sparse

Make = Callable[..., NetworkView]
KNOBS: dict[str, dict[str, Any]] = {
    "levels": {
        "quant_max": 3,
        "zeros": "auto",
        "initial_scale_factor": None,
        "bias_bits": 6,
        "sites": ["*"],
        "method": "levels",
    },
    "uniform": {"bits": 8, "granularity": "tensor", "calibration": "mse", "sites": ["*"], "method": "uniform"},
    "bwn": {"first_last_layers": "keep", "sites": ["*"], "method": "bwn"},
}


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = OrderedDict(conv=nn.Conv2d(3, 40, 3), flat=nn.Flatten(), fc1=nn.Linear(40, 60), fc2=nn.Linear(60, 3))
    return nn.Sequential(layers)


@pytest.fixture
def of(view: Make) -> Callable[..., NetworkView]:
    """What a method sees of a network of three layers, of which some may be represented."""

    def seen(method: str, represented: Mapping[str, Representation] | None = None, **knobs: Any) -> NetworkView:
        seen = network()
        parametrization.attach_representations(seen, deepcopy(dict(represented or {})))
        weights = {
            f"{name}.weight": parametrization.materialise_site(seen, f"{name}.weight")
            for name in ("conv", "fc1", "fc2")
        }
        made = view(weights, parametrization.collect_representations(seen), **{**KNOBS[method], **knobs})
        return replace(made, network=seen)

    return seen


@pytest.fixture
def pruned(of: Make) -> dict[str, Representation]:
    return magnitude(of("levels", sparsity=0.8))


def error(rows: Tensor, scale: float, largest: int, zeros: bool) -> float:
    values = Levels.quantise(rows, torch.tensor([scale]), largest, zeros).materialise()
    return float((rows - values).double().square().sum())


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("largest", [1, 3, 7, 127])
@pytest.mark.parametrize("tail", [1, 3])
def test_the_best_scale_is_as_good_as_any_of_a_thousand(largest: int, zeros: bool, tail: int) -> None:
    rows = torch.randn(1, 500, generator=torch.Generator().manual_seed(largest)) ** tail
    found = error(rows, float(scale_search.search_best_scale(rows, largest, zeros)), largest, zeros)
    tried = min(
        error(rows, float(rows.abs().max()) / largest * share / 1000, largest, zeros) for share in range(20, 1001, 7)
    )
    assert found <= 1.02 * tried


def test_each_row_has_its_own_scale() -> None:
    rows = torch.tensor([[1.0, -4.0, 2.0], [30.0, 10.0, -20.0], [0.0, 0.0, 0.0]])
    assert scale_search.compute_max_scale(rows, 2).tolist() == pytest.approx(
        [2, 15, scale_search.ZERO_ROW_FALLBACK / 2]
    )
    assert scale_search.compute_mean_scale(rows, 0.3).tolist() == pytest.approx(
        [0.7, 6, 0.3 * scale_search.ZERO_ROW_FALLBACK]
    )
    exact = torch.tensor([[1.0, 2.0, -3.0], [30.0, 10.0, -20.0]])
    assert scale_search.search_best_scale(exact, 3).tolist() == pytest.approx([1, 10])


def test_no_values_have_some_scale() -> None:
    for scale in (
        scale_search.search_best_scale(torch.zeros(1, 0), 3),
        scale_search.compute_max_scale(torch.zeros(1, 0), 3),
    ):
        assert float(scale) > 0


def test_weights_take_a_few_levels_and_biases_more(of: Make) -> None:
    found = levels(of("levels"))
    assert set(found) == {"conv.weight", "conv.bias", "fc1.weight", "fc1.bias", "fc2.weight"}
    for name, one in found.items():
        largest = 31 if name.endswith("bias") else 3
        assert one.to_spec() == {"kind": "levels", "largest": largest, "channels": 1, "zeros": 1}


def test_a_bias_of_few_values_is_left_as_it_is_since_its_header_would_cost_more(of: Make) -> None:
    assert "fc2.bias" not in levels(of("levels"))
    assert {name for name in levels(of("levels", bias_bits=0)) if name.endswith("bias")} == set()


def test_kept_weights_of_a_pruned_site_are_never_zero(of: Make, pruned: dict[str, Representation]) -> None:
    zeros = {name: one.materialise() == 0 for name, one in pruned.items()}
    found = levels(of("levels", pruned))
    for name, pruned_ones in zeros.items():
        assert found[name].to_spec()["inner"] == {"kind": "levels", "largest": 3, "channels": 1, "zeros": 0}
        assert torch.equal(found[name].materialise() == 0, pruned_ones)


@pytest.mark.parametrize(("zeros", "plain", "kept"), [("auto", 1, 0), ("always", 1, 1), ("never", 0, 0)])
def test_whether_weights_may_be_zero(
    zeros: str, plain: int, kept: int, of: Make, pruned: dict[str, Representation]
) -> None:
    one = {"fc1.weight": pruned["fc1.weight"]}
    found = levels(of("levels", one, zeros=zeros))
    assert found["conv.weight"].to_spec()["zeros"] == plain
    assert found["fc1.weight"].to_spec()["inner"]["zeros"] == kept


def test_a_kept_weight_that_is_zero_stays_zero(of: Make) -> None:
    site = Sparse.from_dense(torch.tensor([0, 5]), torch.zeros(60, 40))
    assert not levels(of("levels", {"fc1.weight": site}))["fc1.weight"].materialise().any()


def test_a_scale_starts_at_a_share_of_the_mean_size(of: Make) -> None:
    found = levels(of("levels", initial_scale_factor=0.55))["fc1.weight"]
    assert isinstance(found, Levels)
    assert float(found.start) == pytest.approx(0.55 * network().fc1.weight.abs().mean().item())


def test_a_pattern_sets_the_grid_of_the_sites_it_matches(of: Make) -> None:
    assert levels(of("levels", per_site={"conv*": 15}))["conv.weight"].to_spec()["largest"] == 15
    found = uniform(of("uniform", bits=4, per_site={"conv*": 6}))
    assert {name: one.to_spec()["largest"] for name, one in found.items()} == {
        "conv.weight": 31, "fc1.weight": 7, "fc2.weight": 7,
    }  # fmt: skip


@pytest.mark.parametrize(("granularity", "scales"), [("tensor", (1, 1, 1)), ("channel", (40, 60, 3))])
@pytest.mark.parametrize("calibration", ["mse", "max"])
def test_more_bits_and_more_scales_come_nearer(
    granularity: str, scales: tuple[int, ...], calibration: str, of: Make
) -> None:
    errors = []
    for bits in (2, 4, 8):
        seen = of("uniform", bits=bits, granularity=granularity, calibration=calibration)
        found = uniform(seen)
        assert tuple(one.to_spec()["channels"] for one in found.values()) == scales
        errors.append(sum(float((one.materialise() - seen.weights[name]).norm()) for name, one in found.items()))
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


TRANSPOSED = {
    "one group": nn.ConvTranspose2d(6, 4, 3),
    "two groups": nn.ConvTranspose2d(6, 4, 3, groups=2),
    "a filter a group": nn.ConvTranspose2d(6, 2, 3, groups=2),
    "each channel by itself": nn.ConvTranspose2d(6, 6, 3, groups=6),
    "each channel twice": nn.ConvTranspose2d(6, 12, 3, groups=6),
    "one filter": nn.ConvTranspose2d(6, 1, 3),
    "one input": nn.ConvTranspose2d(1, 4, 3),
}


@pytest.mark.parametrize("method", ["uniform", "bwn"])
@pytest.mark.parametrize("layer", TRANSPOSED.values(), ids=TRANSPOSED)
def test_each_output_of_a_transposed_convolution_has_its_own_scale(
    layer: nn.ConvTranspose2d, method: str, view: Make
) -> None:
    """A layer whose outputs have sizes 1, 10, 100, … answers with outputs whose sizes are theirs again."""
    factors = 10.0 ** torch.arange(layer.out_channels)
    with torch.no_grad():
        weight = torch.rand(layer.weight.shape, generator=torch.Generator().manual_seed(0)) + 0.5
        within = factors.view(layer.groups, 1, -1).expand(-1, layer.in_channels // layer.groups, -1)
        layer.weight.copy_(weight * within.reshape(layer.in_channels, -1)[..., None, None])
    bare = nn.Sequential(deepcopy(layer))
    knobs = KNOBS[method] | {"first_last_layers": "binary", "granularity": "channel"}
    seen = replace(view({"0.weight": layer.weight.detach()}, **knobs), network=bare)
    parametrization.attach_representations(bare, {"uniform": uniform, "bwn": bwn}[method](seen))
    images = torch.rand(1, layer.in_channels, 5, 5)
    with torch.no_grad():
        answers, before = ((one(images) - one.bias[:, None, None]).mean((0, 2, 3)) for one in (bare[0], layer))
    assert len(bare[0].weight.abs().unique()) >= layer.out_channels
    assert torch.allclose(answers, before, rtol=0.3)


def test_the_largest_weight_is_the_outermost_level(of: Make) -> None:
    seen = of("uniform", bits=3, calibration="max")
    for name, one in uniform(seen).items():
        assert float(one.materialise().abs().max()) == pytest.approx(float(seen.weights[name].abs().max()))


def test_a_pruned_site_has_no_scale_for_each_channel(of: Make, pruned: dict[str, Representation]) -> None:
    assert uniform(of("uniform", pruned))["fc1.weight"].to_spec()["inner"]["kind"] == "levels"
    with pytest.raises(UserError, match=r"uniform\.granularity=channel: conv\.weight is pruned"):
        uniform(of("uniform", pruned, granularity="channel"))


def test_what_is_quantised_is_not_quantised_again(of: Make) -> None:
    taken = uniform(of("uniform"))
    for method, again in (("levels", levels), ("uniform", uniform), ("bwn", bwn)):
        with pytest.raises(UserError, match="already quantised"):
            again(of(method, {"fc1.weight": taken["fc1.weight"]}))


def test_the_first_and_the_last_layer_are_not_made_binary_unless_asked(of: Make) -> None:
    assert set(bwn(of("bwn"))) == {"fc1.weight"}
    assert set(bwn(of("bwn", first_last_layers="binary"))) == {"conv.weight", "fc1.weight", "fc2.weight"}
    assert set(bwn(of("bwn", first_last_layers="binary", sites=["conv*"]))) == {"conv.weight"}


def test_kept_weights_become_binary_and_pruned_ones_stay_zero(of: Make, pruned: dict[str, Representation]) -> None:
    zeros = pruned["fc1.weight"].materialise() == 0
    values = bwn(of("bwn", pruned))["fc1.weight"].materialise()
    assert torch.equal(values == 0, zeros)
    assert len(values.unique()) == 3


@pytest.mark.parametrize("layers", [1, 2])
def test_a_network_of_ends_only_is_refused(layers: int) -> None:
    bare = nn.Sequential(*(nn.Linear(4, 4) for _ in range(layers)))
    with pytest.raises(UserError, match="write first_last_layers=binary"):
        check_step(bare, KNOBS["bwn"])
    check_step(bare, KNOBS["bwn"] | {"first_last_layers": "binary"})
