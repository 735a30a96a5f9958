"""Representations in a network."""

import json
from collections import OrderedDict
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from convarium.errors import UserError
from convarium.representations import parametrization
from convarium.representations.dense import Dense
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse


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
    return Sparse.from_dense(dense.abs().flatten().topk(dense.numel() // 3).indices, dense)


def shared(dense: Tensor) -> Shared:
    return Shared.from_codebook(torch.tensor([-0.2, 0.0, 0.2]), torch.arange(dense.numel()).view(dense.shape) % 3)


def represent(bare: nn.Module) -> nn.Module:
    parametrization.attach_representations(
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
    parametrization.attach_representations(one, {"a.weight": sparse(one.a.weight.detach())})
    parametrization.attach_representations(other, {"a.bias": shared(other.a.bias.detach())})
    assert [name for name, _ in one.named_parameters()] == [name for name, _ in other.named_parameters()]


def test_sites_are_named_as_in_the_bare_network() -> None:
    bare = represent(network())
    assert list(parametrization.collect_representations(bare)) == ["a.bias", "a.weight", "b.weight"]
    assert list(parametrization.collect_stored_tensors(bare)) == sorted(network().state_dict())
    assert parametrization.get_site_tensors(bare, "a.weight")[0].shape == (16,)
    assert parametrization.get_site_tensors(bare, "c.weight")[0] is bare.c.weight


def test_a_further_step_replaces_the_representation() -> None:
    bare = represent(network())
    before = parametrization.materialise_site(bare, "a.weight")
    values = parametrization.extract_innermost_values(parametrization.collect_representations(bare)["a.weight"], before)
    assert torch.equal(values, before[before != 0])
    refitted = parametrization.replace_innermost_values(
        parametrization.collect_representations(bare)["a.weight"], shared(values), before.shape
    )
    parametrization.attach_representations(bare, {"a.weight": refitted})
    assert torch.equal(bare.a.weight != 0, refitted(torch.tensor([-0.2, 0.0, 0.2])) != 0)
    assert parametrization.describe_representations(bare)["a.weight"]["inner"] == {"kind": "shared", "size": 3}


def test_dense_values_make_a_plain_parameter() -> None:
    bare = represent(network())
    parametrization.attach_representations(bare, {"b.weight": Dense((8, 8)).project(torch.ones(8, 8))})
    assert isinstance(bare.b.weight, nn.Parameter)
    assert type(bare.b) is nn.Linear
    assert "b.weight" in dict(bare.named_parameters())


def test_detaching_leaves_values_and_names_of_a_bare_network() -> None:
    bare = represent(network()).eval()
    images = torch.randn(3, 6)
    before = bare(images)
    for site in list(parametrization.collect_representations(bare)):
        parametrization.detach_representation(bare, site)
    assert torch.equal(bare(images), before)
    assert set(bare.state_dict()) == set(network().state_dict())
    assert all(type(module) is type(other) for module, other in zip(bare.modules(), network().modules(), strict=True))


def test_detaching_one_of_two_in_a_module_keeps_the_other() -> None:
    bare = represent(network())
    stored = parametrization.get_site_tensors(bare, "a.bias")[0]
    parametrization.detach_representation(bare, "a.weight")
    assert list(parametrization.collect_representations(bare)) == ["a.bias", "b.weight"]
    assert parametrization.get_site_tensors(bare, "a.bias")[0] is stored


def test_folding_a_deep_copy_leaves_the_original_alone() -> None:
    bare = represent(network()).eval()
    images = torch.randn(3, 6)
    before = bare(images)
    copied = deepcopy(bare)
    for site in list(parametrization.collect_representations(copied)):
        parametrization.detach_representation(copied, site)
    assert torch.equal(bare(images), before)
    assert torch.equal(copied(images), before)


def test_all_owners_of_a_tied_tensor_are_represented() -> None:
    bare = tied()
    parametrization.attach_representations(bare, {"b.weight": shared(bare.b.weight)})
    train(bare, sgd(bare), range(2))
    assert torch.equal(bare.b.weight, bare.c.weight)
    assert list(parametrization.collect_representations(bare)) == ["b.weight"]
    assert [name for name in parametrization.collect_stored_tensors(bare) if name.endswith("weight")] == [
        "a.weight",
        "b.weight",
        "norm.weight",
    ]
    parametrization.detach_representation(bare, "c.weight")
    assert bare.b.weight is bare.c.weight


def test_a_parameter_that_another_one_views_is_refused() -> None:
    bare = network()
    bare.c.weight = nn.Parameter(bare.b.weight.data[:])
    with pytest.raises(UserError, match=r"shares its memory with c\.weight"):
        parametrization.attach_representations(bare, {"b.weight": shared(bare.b.weight)})


@pytest.mark.parametrize("site", ["a.nothing", "nothing.weight", "norm.running_mean", "a", ""])
def test_what_is_no_parameter_is_refused(site: str) -> None:
    with pytest.raises(UserError):
        parametrization.attach_representations(network(), {site: shared(torch.zeros(8))})


def test_another_shape_is_refused() -> None:
    with pytest.raises(UserError, match="shape"):
        parametrization.attach_representations(network(), {"a.weight": shared(torch.zeros(8, 6)).reshape_to((6, 8))})


def test_a_parametrization_of_another_kind_is_refused() -> None:
    bare = network()
    weight_norm(bare.b)
    with pytest.raises(UserError, match="another kind"):
        parametrization.attach_representations(bare, {"b.weight": shared(torch.zeros(8, 8))})


def test_a_represented_weight_can_not_be_assigned() -> None:
    bare = represent(network())
    codebook = parametrization.get_site_tensors(bare, "b.weight")[0].clone()
    with pytest.raises(UserError, match="detach"):
        bare.b.weight = torch.zeros(8, 8)
    assert torch.equal(parametrization.get_site_tensors(bare, "b.weight")[0], codebook)


@pytest.mark.parametrize("make", [network, tied])
def test_training_goes_on_bit_equal_after_a_kill(make) -> None:
    whole = represent(make())
    train(whole, sgd(whole), range(6))

    killed = represent(make())
    optimizer = sgd(killed)
    train(killed, optimizer, range(3))
    structure, state, steps = (
        json.dumps(parametrization.describe_representations(killed)),
        deepcopy(killed.state_dict()),
        optimizer.state_dict(),
    )

    resumed = make()
    parametrization.restore_representations(resumed, json.loads(structure))
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
    parametrization.attach_representations(bare, {"a.weight": sparse(bare.a.weight)})
    assert not parametrization.get_site_tensors(bare, "a.weight")[0].requires_grad
    parametrization.detach_representation(bare, "a.weight")
    assert not bare.a.weight.requires_grad
