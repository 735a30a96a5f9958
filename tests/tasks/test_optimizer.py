"""Optimisers: ours and torch's by their path, with arguments that they have, on the parameters that they are for."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from convarium.datasets.splits import Splits
from convarium.errors import UserError
from convarium.tasks.optimizer import build_optimizer, check_optimizer
from tasks.fit_harness import KilledError, Run, Scaled, draw_splits, equal, kill_at, plain

RECIPE: dict[str, Any] = {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
TRAINS = ("Adadelta", "Adafactor", "Adagrad", "Adamax", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop")
REFUSED = {"LBFGS": "closure", "SparseAdam": "dense gradients", "Muon": "2D"}


@pytest.fixture(scope="module")
def splits() -> Splits:
    return draw_splits()


def by_path(name: str, **kwargs: Any) -> dict[str, Any]:
    weight_decay = 0.0 if name == "Rprop" else 0.1
    return {**RECIPE, "optimizer": f"torch.optim:{name}", "weight_decay": weight_decay, "optimizer_kwargs": kwargs}


def test_frozen_parameters_are_not_the_optimisers() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[0].requires_grad_(False)
    (group,) = build_optimizer(RECIPE, network).param_groups
    assert [id(parameter) for parameter in group["params"]] == [id(p) for p in network[1].parameters()]
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.1, 0.9, 0.1)


@pytest.mark.parametrize(
    ("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)]
)
def test_a_name_is_the_optimiser_of_that_name(name: str, kind: type) -> None:
    assert type(build_optimizer({**RECIPE, "optimizer": name}, plain())) is kind


def test_every_optimiser_of_torch_trains_or_is_known_to_be_refused() -> None:
    there = {name for name, value in vars(torch.optim).items() if isinstance(value, type)} - {"Optimizer"}
    assert there == {*TRAINS, *REFUSED, "SGD", "Adam", "AdamW"}


@pytest.mark.parametrize("name", TRAINS)
def test_one_of_torch_is_resumed_in_the_same_bits(name: str, splits: Splits, tmp_path: Path) -> None:
    changes = {**by_path(name), "lr": 0.002}
    undisturbed = Run(splits, tmp_path / "whole.ckpt", **changes)(plain(), epochs=2)
    assert not equal(undisturbed, plain())
    run = Run(splits, tmp_path / "killed.ckpt", **changes)
    with pytest.raises(KilledError):
        run(kill_at(plain(), 11), epochs=2)
    assert equal(run(plain(), epochs=2), undisturbed)


@pytest.mark.parametrize("name", REFUSED)
def test_one_that_takes_no_step_on_a_network_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError, match=REFUSED[name]) as error:
        check_optimizer(by_path(name))
    assert str(error.value).startswith(f"recipe.optimizer=torch.optim:{name} can't train a network: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (by_path("RMSprp"), "torch.optim has no such optimiser (did you mean RMSprop?)"),
        (by_path("Optimizer"), "torch.optim has no such optimiser"),
        (by_path("lr_scheduler"), "torch.optim has no such optimiser"),
        (by_path("RMSprop", alhpa=0.9), "recipe.optimizer_kwargs.alhpa: torch.optim:RMSprop has no such argument"),
        (by_path("RMSprop", alpha=-1.0), "torch.optim:RMSprop can't train a network: Invalid alpha value: -1.0"),
        (by_path("RMSprop", lr=0.1), "recipe.optimizer_kwargs.lr: the recipe says it, set recipe.lr"),
        ({**RECIPE, "optimizer_kwargs": {"momentum": 0.5}}, "the recipe says it, set recipe.momentum"),
        ({**by_path("Rprop"), "weight_decay": 0.1}, "torch.optim:Rprop has no weight decay, set recipe.weight_decay=0"),
        ({**RECIPE, "momentum": 0.0, "optimizer_kwargs": {"nesterov": True}}, "Nesterov momentum requires a momentum"),
    ],
)
def test_what_an_optimiser_does_not_take_is_refused(recipe: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        check_optimizer(recipe)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_arguments_reach_the_optimiser() -> None:
    (group,) = build_optimizer(by_path("NAdam", betas=[0.8, 0.95]), plain()).param_groups
    assert (group["betas"], group["weight_decay"], group["lr"]) == ((0.8, 0.95), 0.1, 0.1)


def test_weight_decay_spares_norms_and_biases_but_no_vector_that_stands_for_a_weight() -> None:
    network: Any = plain()
    parametrize.register_parametrization(network[5], "weight", Scaled())
    flat = nn.Parameter(torch.zeros(7))
    network[5].parametrizations.weight.register_parameter("codebook", flat)
    decayed, spared = build_optimizer({**RECIPE, "weight_decay_on": "weights"}, network).param_groups
    convolution, norm, linear = network[0], network[1], network[5]
    assert set(spared["params"]) == {convolution.bias, norm.weight, norm.bias, linear.bias}
    assert set(decayed["params"]) == {convolution.weight, linear.parametrizations.weight.original, flat}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_without_gradients_only_what_decays_shrinks() -> None:
    network: Any = plain()
    before = {name: tensor.clone() for name, tensor in network.named_parameters()}
    optimizer = build_optimizer({**RECIPE, "weight_decay_on": "weights"}, network)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    changed = {name for name, tensor in network.named_parameters() if not torch.equal(tensor, before[name])}
    assert changed == {"0.weight", "5.weight"}
