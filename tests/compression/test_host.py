"""Representations in a network."""

import json
from collections import OrderedDict
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from convarium.compression import host
from convarium.compression.representations.dense import Dense
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse
from convarium.errors import UserError


def network() -> nn.Module:
    torch.manual_seed(0)
    layers = OrderedDict(
        a=nn.Linear(6, 8), norm=nn.BatchNorm1d(8), relu=nn.ReLU(), b=nn.Linear(8, 8), c=nn.Linear(8, 8)
    )
    return nn.Sequential(layers)


def tied() -> nn.Module:
    bare = network()
    bare.c.weight = bare.b.weight
    return bare


def sparse(dense: Tensor) -> Sparse:
    return Sparse.at(dense.abs().flatten().topk(dense.numel() // 3).indices, dense)


def shared(dense: Tensor) -> Shared:
    return Shared.of(torch.tensor([-0.2, 0.0, 0.2]), torch.arange(dense.numel()).view(dense.shape) % 3)


def represent(bare: nn.Module) -> nn.Module:
    host.attach(
        bare, {"a.weight": sparse(bare.a.weight), "a.bias": shared(bare.a.bias), "b.weight": shared(bare.b.weight)}
    )
    return bare


def train(bare: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        optimizer.zero_grad()
        bare(torch.randn(16, 6, generator=generator)).square().mean().backward()
        optimizer.step()


def sgd(bare: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(bare.parameters(), lr=0.01, momentum=0.9)


def test_only_stored_tensors_are_trained() -> None:
    bare = represent(network())
    assert sum(parameter.numel() for parameter in bare.parameters()) == 16 + 3 + 16 + 3 + 8 + 8 * 8 + 8
    train(bare, sgd(bare), range(3))
    assert int((bare.a.weight != 0).sum()) == 16
    assert len(bare.b.weight.unique()) == 3


def test_the_order_of_parameters_does_not_depend_on_which_was_represented_first() -> None:
    """An optimiser's state in a checkpoint goes by this order, and a restored network is represented by name."""
    one, other = represent(network()), represent(network())
    host.attach(one, {"a.weight": sparse(one.a.weight.detach())})
    host.attach(other, {"a.bias": shared(other.a.bias.detach())})
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in other.named_parameters()]


def test_sites_are_named_as_in_the_bare_network() -> None:
    bare = represent(network())
    assert list(host.represented(bare)) == ["a.bias", "a.weight", "b.weight"]
    assert list(host.stored(bare)) == sorted(network().state_dict())
    assert host.tensors(bare, "a.weight")[0].shape == (16,)
    assert host.tensors(bare, "c.weight")[0] is bare.c.weight


def test_a_further_step_replaces_the_representation() -> None:
    bare = represent(network())
    before = host.materialised(bare, "a.weight")
    values = host.innermost(host.represented(bare)["a.weight"], before)
    assert torch.equal(values, before[before != 0])
    refitted = host.refit(host.represented(bare)["a.weight"], shared(values), before.shape)
    host.attach(bare, {"a.weight": refitted})
    assert torch.equal(bare.a.weight != 0, refitted(torch.tensor([-0.2, 0.0, 0.2])) != 0)
    assert host.structure(bare)["a.weight"]["inner"] == {"kind": "shared", "size": 3}


def test_dense_values_make_a_plain_parameter() -> None:
    bare = represent(network())
    host.attach(bare, {"b.weight": Dense((8, 8)).fit(torch.ones(8, 8))})
    assert isinstance(bare.b.weight, nn.Parameter)
    assert type(bare.b) is nn.Linear
    assert "b.weight" in dict(bare.named_parameters())


def test_detaching_leaves_values_and_names_of_a_bare_network() -> None:
    bare = represent(network()).eval()
    images = torch.randn(3, 6)
    before = bare(images)
    for site in list(host.represented(bare)):
        host.detach(bare, site)
    assert torch.equal(bare(images), before)
    assert set(bare.state_dict()) == set(network().state_dict())
    assert all(type(module) is type(other) for module, other in zip(bare.modules(), network().modules(), strict=True))


def test_detaching_one_of_two_in_a_module_keeps_the_other() -> None:
    bare = represent(network())
    stored = host.tensors(bare, "a.bias")[0]
    host.detach(bare, "a.weight")
    assert list(host.represented(bare)) == ["a.bias", "b.weight"]
    assert host.tensors(bare, "a.bias")[0] is stored


def test_folding_a_deep_copy_leaves_the_original_alone() -> None:
    bare = represent(network()).eval()
    images = torch.randn(3, 6)
    before = bare(images)
    copied = deepcopy(bare)
    for site in list(host.represented(copied)):
        host.detach(copied, site)
    assert torch.equal(bare(images), before)
    assert torch.equal(copied(images), before)


def test_all_owners_of_a_tied_tensor_are_represented() -> None:
    bare = tied()
    host.attach(bare, {"b.weight": shared(bare.b.weight)})
    train(bare, sgd(bare), range(2))
    assert torch.equal(bare.b.weight, bare.c.weight)
    assert list(host.represented(bare)) == ["b.weight"]
    assert [name for name in host.stored(bare) if name.endswith("weight")] == ["a.weight", "b.weight", "norm.weight"]
    host.detach(bare, "c.weight")
    assert bare.b.weight is bare.c.weight


def test_a_parameter_that_another_one_views_is_refused() -> None:
    bare = network()
    bare.c.weight = nn.Parameter(bare.b.weight.data[:])
    with pytest.raises(UserError, match=r"shares its memory with c\.weight"):
        host.attach(bare, {"b.weight": shared(bare.b.weight)})


@pytest.mark.parametrize("site", ["a.nothing", "nothing.weight", "norm.running_mean", "a", ""])
def test_what_is_no_parameter_is_refused(site: str) -> None:
    with pytest.raises(UserError):
        host.attach(network(), {site: shared(torch.zeros(8))})


def test_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match="shape"):
        host.attach(network(), {"a.weight": shared(torch.zeros(8, 6)).reshaped((6, 8))})


def test_a_parametrization_of_another_kind_is_refused() -> None:
    bare = network()
    weight_norm(bare.b)
    with pytest.raises(UserError, match="another kind"):
        host.attach(bare, {"b.weight": shared(torch.zeros(8, 8))})


def test_a_represented_weight_can_not_be_assigned() -> None:
    bare = represent(network())
    codebook = host.tensors(bare, "b.weight")[0].clone()
    with pytest.raises(UserError, match="detach"):
        bare.b.weight = torch.zeros(8, 8)
    assert torch.equal(host.tensors(bare, "b.weight")[0], codebook)


@pytest.mark.parametrize("make", [network, tied])
def test_training_goes_on_bit_equal_after_a_kill(make) -> None:
    whole = represent(make())
    train(whole, sgd(whole), range(6))

    killed = represent(make())
    optimizer = sgd(killed)
    train(killed, optimizer, range(3))
    structure, state, steps = json.dumps(host.structure(killed)), deepcopy(killed.state_dict()), optimizer.state_dict()

    resumed = make()
    host.restore(resumed, json.loads(structure))
    resumed.load_state_dict(state)
    optimizer = sgd(resumed)
    optimizer.load_state_dict(deepcopy(steps))
    train(resumed, optimizer, range(3, 6))
    assert list(resumed.state_dict()) == list(whole.state_dict())
    assert all(
        torch.equal(one, other)
        for one, other in zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    )


def test_a_frozen_parameter_stays_frozen() -> None:
    bare = network()
    bare.a.weight.requires_grad_(False)
    host.attach(bare, {"a.weight": sparse(bare.a.weight)})
    assert not host.tensors(bare, "a.weight")[0].requires_grad
    host.detach(bare, "a.weight")
    assert not bare.a.weight.requires_grad
