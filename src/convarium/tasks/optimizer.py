"""The optimiser that a recipe asks for: one of ours by its name, or any of torch by its import path."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from convarium.config.messages import shorten, suggest_nearest
from convarium.config.recipe import OPTIMIZERS, restore_default_keys
from convarium.errors import UserError

OPTIMIZER_CLASSES: Mapping[str, type[torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
}
# What the recipe says by keys of its own, or what no recipe says.
KEYS_OF_RECIPE: tuple[str, ...] = ("params", "lr", "weight_decay")
TRIAL_SHAPES = ((2, 2, 2, 2), (2,))  # a convolution's weight and its bias
MAX_REASON_CHARS = 160


def build_optimizer(recipe: Mapping[str, Any], network: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser over the trainable parameters.

    With `weight_decay_on: weights` norms and biases are a group of their own, without decay.

    Raises:
        UserError: torch has no such optimiser, it has no such argument, or it can't train a network.
    """
    recipe = restore_default_keys(recipe)
    check_optimizer(recipe)
    return _find_class(recipe)(_group_parameters(recipe, network), **_collect_kwargs(recipe))


def check_optimizer(recipe: Mapping[str, Any]) -> None:
    """Check that an optimiser has the arguments that it is given, and takes steps on tensors such as a network's.

    Raises:
        UserError: see `build_optimizer`.
    """
    recipe = restore_default_keys(recipe)
    if recipe["optimizer"] in OPTIMIZERS and not recipe["optimizer_kwargs"]:
        return
    kwargs = _collect_kwargs(recipe)
    _try_steps(recipe, kwargs)
    if recipe["weight_decay"] and "weight_decay" not in kwargs:
        raise UserError(f"{recipe['optimizer']} has no weight decay, set recipe.weight_decay=0")


def _find_class(recipe: Mapping[str, Any]) -> type[torch.optim.Optimizer]:
    name = recipe["optimizer"]
    if name in OPTIMIZER_CLASSES:
        return OPTIMIZER_CLASSES[name]
    attribute = name.partition(":")[2]
    found: Any = getattr(torch.optim, attribute, None)
    if not _is_optimizer(found):
        there = [key for key, value in vars(torch.optim).items() if _is_optimizer(value)]
        nearest = suggest_nearest(attribute, there)
        raise UserError(f"recipe.optimizer={name}: torch.optim has no such optimiser{nearest}")
    chosen: type[torch.optim.Optimizer] = found
    return chosen


def _is_optimizer(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer


def _collect_kwargs(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the optimiser is made with, besides its parameters: those arguments that it has."""
    known = list(signature(_find_class(recipe)).parameters)
    kwargs = {"lr": recipe["lr"]}
    if "weight_decay" in known:
        kwargs["weight_decay"] = recipe["weight_decay"]
    own_keys = KEYS_OF_RECIPE
    if recipe["optimizer"] == "sgd":
        kwargs["momentum"] = recipe["momentum"]
        own_keys = (*KEYS_OF_RECIPE, "momentum")
    for key, value in recipe["optimizer_kwargs"].items():
        if key in own_keys:
            raise UserError(f"recipe.optimizer_kwargs.{key}: the recipe says it, set recipe.{key}")
        if key not in known:
            nearest = suggest_nearest(key, [name for name in known if name not in own_keys])
            raise UserError(f"recipe.optimizer_kwargs.{key}: {recipe['optimizer']} has no such argument{nearest}")
        kwargs[key] = tuple(value) if isinstance(value, list) else value
    return kwargs


def _try_steps(recipe: Mapping[str, Any], kwargs: Mapping[str, Any]) -> None:
    """Take two steps on small tensors: some optimisers need a closure, or gradients or tensors of another kind."""
    parameters = [nn.Parameter(torch.ones(shape)) for shape in TRIAL_SHAPES]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    try:
        optimizer: Any = _find_class(recipe)(parameters, **kwargs)
        for _ in range(2):
            optimizer.step()
    except Exception as error:
        reason = shorten(" ".join(str(error).split()), MAX_REASON_CHARS)
        raise UserError(f"recipe.optimizer={recipe['optimizer']} can't train a network: {reason}") from None


def _group_parameters(recipe: Mapping[str, Any], network: nn.Module) -> list[dict[str, Any]]:
    trainable = [(name, tensor) for name, tensor in network.named_parameters() if tensor.requires_grad]
    if recipe["weight_decay_on"] == "all":
        return [{"params": [tensor for _, tensor in trainable]}]
    spared = [tensor for name, tensor in trainable if _is_norm_or_bias(name, tensor)]
    decayed = [tensor for name, tensor in trainable if not _is_norm_or_bias(name, tensor)]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _is_norm_or_bias(name: str, tensor: Tensor) -> bool:
    """Whether a parameter is a bias, or a vector such as a norm has.

    The vectors of a Representation (a codebook, the drift of scales) stand for a weight.
    """
    if "parametrizations." in name:
        return False
    return tensor.dim() <= 1 or name.endswith(".bias")
