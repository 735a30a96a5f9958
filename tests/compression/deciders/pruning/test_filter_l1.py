"""Filters with the smallest weights go, with all that hangs on them."""

import pytest
import torch
from torch import nn

from compression.deciders.structural_views import LENET, build_seeded, describe_architecture, make_network_view
from convarium.architectures.dry_run import dry_run_architecture
from convarium.compression import decisions
from convarium.compression.deciders.pruning.filter_l1 import check_step, filter_l1
from convarium.compression.deciders.pruning.random_filters import random_filters
from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.sparse import Sparse

METHOD = {"method": "pruning/filter_l1", "channels_removed": 0.5, "sites": ["*"], "per_site": {}}


def cut(network: nn.Module, progress: float = 1.0, **step: object) -> nn.Module:
    decisions.apply_decision(network, filter_l1(make_network_view(network, LENET, progress, **{**METHOD, **step})))
    return network


def outputs(network: nn.Module) -> list[int]:
    return [network.get_parameter(f"{name}.weight").shape[0] for name in ("conv1", "conv2", "fc1", "fc2")]


def test_the_filters_of_least_l1_norm_go_and_the_network_itself_is_not_touched() -> None:
    network = build_seeded(LENET)
    before = network.get_parameter("conv1.weight").detach().clone()
    decision = filter_l1(make_network_view(network, LENET, **METHOD))
    assert outputs(network) == [20, 50, 500, 10]
    kept = before.abs().flatten(1).sum(1).topk(10).indices.sort().values
    assert torch.equal(decision.values["conv1.weight"], before[kept])
    assert decision.values["conv2.weight"].shape == (25, 10, 5, 5)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_random_filters_leave_the_same_structure_of_other_filters_by_the_seed(share: float) -> None:
    network = build_seeded(LENET)
    by_norm = filter_l1(make_network_view(network, LENET, **{**METHOD, "channels_removed": share}))
    drawn = [
        random_filters(make_network_view(network, LENET, **{**METHOD, "channels_removed": share})) for _ in range(2)
    ]
    assert drawn[0].edits == by_norm.edits
    assert not torch.equal(drawn[0].values["conv2.weight"], by_norm.values["conv2.weight"])
    assert torch.equal(drawn[0].values["conv2.weight"], drawn[1].values["conv2.weight"])


def test_zero_filters_are_cut_without_changing_the_logits() -> None:
    network = build_seeded(LENET).eval()
    with torch.no_grad():
        for name, rows in (("conv1", slice(0, 10)), ("conv2", slice(25, 50)), ("fc1", slice(100, 350))):
            network.get_parameter(f"{name}.weight")[rows] = 0
            network.get_parameter(f"{name}.bias")[rows] = 0
        images = torch.randn(5, 1, 28, 28)
        expected = network(images)
        assert (cut(network)(images) - expected).abs().max() < 1e-4
    assert outputs(network) == [10, 25, 250, 10]


def test_rounds_reach_the_share_by_equal_shares() -> None:
    network = cut(build_seeded(LENET), progress=0.5)
    assert outputs(network) == [14, 35, 354, 10]
    assert outputs(cut(network)) == [10, 25, 250, 10]


def test_a_pattern_has_a_share_of_its_own_and_sites_keep_layers_whole() -> None:
    assert outputs(cut(build_seeded(LENET), per_site={"conv1*": 0.1}, sites=["conv*"])) == [18, 25, 500, 10]


def test_one_threshold_over_all_layers_removes_as_many_filters() -> None:
    network = build_seeded(LENET)
    with torch.no_grad():
        network.get_parameter("conv1.weight")[:5] *= 0.01
    found = outputs(cut(network, scope="global"))
    assert sum(found[:3]) == 285
    assert found[0] <= 15


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_at_least_one_filter_stays(scope: str) -> None:
    assert outputs(cut(build_seeded(LENET), channels_removed=1.0, scope=scope)) == [1, 1, 1, 10]


def test_a_sparse_site_is_sparse_afterwards() -> None:
    network = build_seeded(LENET)
    weight = network.get_parameter("fc1.weight").detach()
    parametrization.attach_representations(
        network, {"fc1.weight": Sparse.from_dense(weight.abs().flatten().topk(4000).indices, weight)}
    )
    cut(network)
    form = parametrization.collect_representations(network)["fc1.weight"]
    assert form.to_spec()["kind"] == "sparse"
    assert form.shape == (250, 400)
    assert form.to_spec()["nonzeros"] < 4000


def test_coupled_filters_vote_by_their_sum() -> None:
    resnet = describe_architecture("test_resnet", "timm", 32, 3)
    network = build_seeded(resnet)
    with torch.no_grad():
        network.get_parameter("layer2.0.downsample.1.weight")[3] *= 1000
        network.get_parameter("layer2.0.bn2.weight").copy_(torch.arange(48))
    decision = filter_l1(make_network_view(network, resnet, channels_removed=1.0, method="pruning/filter_l1"))
    assert decision.values["layer2.0.conv2.weight"].shape[0] == 1
    assert decision.values["layer2.0.bn2.weight"].tolist() == [3.0]


def test_nothing_to_cut_is_said_in_one_line() -> None:
    with pytest.raises(UserError, match="one layer with weights, its classifier"):
        check_step(nn.Sequential(nn.Flatten(), nn.Linear(9, 10)).to("meta"), METHOD)
    with pytest.raises(UserError, match="lenet5: no group of coupled filters lies wholly in its sites"):
        filter_l1(make_network_view(build_seeded(LENET), LENET, **{**METHOD, "sites": ["fc2*"]}))
    with pytest.raises(UserError, match=r"filter_l1: no group .* \(one group is conv1\.weight\)"):
        check_step(dry_run_architecture(LENET), {**METHOD, "sites": ["fc2*"]})


def test_a_network_that_cannot_be_traced_is_refused_in_one_line() -> None:
    network = dry_run_architecture(describe_architecture("shufflenet_v2_x0_5", "torchvision", 32, 3))
    with pytest.raises(UserError, match=r"^pruning/filter_l1: its channels can't be followed from layer to layer"):
        check_step(network, METHOD)
