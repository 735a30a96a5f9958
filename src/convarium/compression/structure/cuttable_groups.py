"""Select the groups of channels that can be cut: without part of their channels the network must run and stay correct.

A tracer can be wrong where a network reshapes, shuffles or splits channels by fixed numbers. So groups are tried out:
with part of their channels cut, the network must run and give the outputs that it gives with these channels at zero.
Groups that fail are never cut (attention heads, splits of fixed sizes).
"""

from collections.abc import Callable, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from types import CodeType, MethodType
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from convarium.architectures.tied_tensors import find_tied_names, find_tied_owners
from convarium.architectures.unsaved_tensors import copy_to_meta, move_network
from convarium.compression.structure.channel_groups import ChannelGroup, trace_groups
from convarium.compression.structure.channel_removal import (
    UncuttableGroup,
    cut_channels,
    expand_to_blocks,
    plan_removals,
    zero_channels,
)
from convarium.representations import parametrization

LOGITS_TOLERANCE = 1e-6  # relative to the largest logit; far above the rounding of float64
TRIAL_SEED = 20_230
MIN_IMAGES, MAX_IMAGES = 4, 64
MAX_PIXELS = 200_000  # bounds the values of all random images together, unless MIN_IMAGES have more
SETTING_TYPES = (bool, int, float, str, tuple)
CACHED_NETWORKS = 8  # few, because a cache's key keeps its network in memory
T = TypeVar("T")


def copy_plain_network(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode with every weight materialised; the network itself is not changed."""
    copied = deepcopy(network).eval()
    for site in parametrization.collect_representations(copied):
        parametrization.detach_representation(copied, site)
    return copied


def find_cuttable_groups(network: nn.Module, shape: Sequence[int]) -> tuple[ChannelGroup, ...]:
    """Return the groups that can be cut; the result is cached for networks of equal structure.

    Args:
        network: plain, in eval mode, with real tensors.
        shape: shape of an image, (channels, height, width).

    Raises:
        UserError: torch-pruning can't trace the network.
    """
    return _find_cuttable_cached(_build_structure_key(network, shape))


def find_runnable_groups(network: nn.Module, shape: Sequence[int]) -> tuple[ChannelGroup, ...]:
    """Return the groups without part of whose channels the network still runs, tried on the meta device.

    Unlike `find_cuttable_groups` it needs no values, and does not compare outputs. The result is cached as well.

    Args:
        network: plain, in eval mode, on any device.
        shape: shape of an image, (channels, height, width).

    Raises:
        UserError: torch-pruning can't trace the network.
    """
    return _find_runnable_cached(_build_structure_key(network, shape))


def select_exact_groups(network: nn.Module, groups: Sequence[ChannelGroup], shape: Sequence[int]) -> list[ChannelGroup]:
    """Return the groups for which cutting some of their channels gives the same logits as setting them to zero.

    Logits are compared in double precision for random images, with random norms and biases, so that nothing is zero by
    chance. Norms over channels only scale and shift in this trial, because their statistics depend on the number of
    channels. Groups of layers with standardised weights can't be compared in this way, and are all returned.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TRIAL_SEED)
        trial_network = move_network(deepcopy(network), dtype=torch.float64)
        _randomise_vectors(trial_network)
        _replace_norms_by_scaling(trial_network)
        images = torch.randn(2, *shape, dtype=torch.float64)

    def is_exact(chosen: Sequence[ChannelGroup]) -> bool:
        removals = plan_removals(trial_network, chosen, _draw_trial_channels(chosen))
        cut, _ = cut_channels(trial_network, removals)
        zeroed = zero_channels(trial_network, removals)
        return has_same_logits(compute_output(cut, images), compute_output(zeroed, images))

    modules = dict(trial_network.named_modules())
    standardised = [group for group in groups if _has_standardised_weights(modules, group)]
    comparable = [group for group in groups if group not in standardised]
    exact = select_working_subset(comparable, is_exact)
    return [group for group in groups if group in exact or group in standardised]


def compute_random_logits(network: nn.Module, shape: Sequence[int]) -> Tensor:
    """Return a plain network's logits for random images, float64 (N, classes), with its own values and norms.

    The images differ in contrast, and there are as many as MAX_PIXELS allows, because a difference may show in few
    images only (a maximum over channels). The images and the network's random state are the same in each call.
    """
    count = max(MIN_IMAGES, min(MAX_IMAGES, MAX_PIXELS // prod(shape)))
    generator = torch.Generator().manual_seed(TRIAL_SEED)
    images = torch.randn(count, *shape, dtype=torch.float64, generator=generator)
    contrasts = torch.logspace(-1, 0, count, dtype=torch.float64)
    images *= contrasts.view(-1, *[1] * len(shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TRIAL_SEED)
        return compute_output(move_network(deepcopy(network), dtype=torch.float64), images)


def has_same_logits(logits: Tensor, expected: Tensor) -> bool:
    """Return whether max |logits - expected| is at most LOGITS_TOLERANCE * max |expected|; with NaN it is not."""
    return bool((logits - expected).abs().max() <= LOGITS_TOLERANCE * expected.abs().max())


@dataclass(frozen=True)
class _StructureKey:
    """Key of the caches: networks with equal keys have the same groups that can be cut.

    Attributes:
        structure: text of all modules, sizes, ties and settings.
        forward_codes: code of each module's `forward`.
        network: one of the networks that have this key.
        shape: shape of an image, (channels, height, width).
    """

    structure: str
    forward_codes: tuple[CodeType | None, ...]
    network: nn.Module = field(compare=False)
    shape: tuple[int, ...]


def _build_structure_key(network: nn.Module, shape: Sequence[int]) -> _StructureKey:
    """Key made of everything that decides what can be cut: layers, sizes, ties, settings, and the code of each pass."""
    sizes = [tuple(tensor.shape) for tensor in network.state_dict().values()]
    settings: list[list[tuple[str, str]]] = []
    forward_codes: list[CodeType | None] = []
    for module in network.modules():
        attributes = vars(module).items()
        settings.append(sorted((key, repr(value)) for key, value in attributes if isinstance(value, SETTING_TYPES)))
        # Two classes of one name have equal `repr`s: only the code tells them apart.
        forward_codes.append(getattr(module.forward, "__code__", None))
    structure = f"{network!r} {sizes} {find_tied_names(network)} {settings}"
    return _StructureKey(structure, tuple(forward_codes), network, tuple(shape))


@lru_cache(maxsize=CACHED_NETWORKS)
def _find_cuttable_cached(key: _StructureKey) -> tuple[ChannelGroup, ...]:
    return tuple(select_exact_groups(key.network, _find_runnable_cached(key), key.shape))


@lru_cache(maxsize=CACHED_NETWORKS)
def _find_runnable_cached(key: _StructureKey) -> tuple[ChannelGroup, ...]:
    meta_network = copy_to_meta(key.network)
    images = torch.empty(2, *key.shape, device="meta")
    output_shape = compute_output(meta_network, images).shape

    def is_runnable(chosen: Sequence[ChannelGroup]) -> bool:
        removals = plan_removals(meta_network, chosen, _draw_trial_channels(chosen))
        cut, _ = cut_channels(meta_network, removals)
        return compute_output(cut, images).shape == output_shape

    tied_owners = find_tied_owners(key.network, modules_once=True)
    groups = trace_groups(meta_network, key.shape)
    candidates = [group for group in groups if _is_prunable(group, tied_owners)]
    return tuple(select_working_subset(candidates, is_runnable))


def _is_prunable(group: ChannelGroup, tied_owners: Set[str]) -> bool:
    """Whether a group may lose channels: it has enough of them, is not uncuttable, and no member is tied."""
    if group.is_uncuttable or group.size <= group.blocks:
        return False
    return not any(member.owner in tied_owners for member in group.members)


def select_working_subset(
    candidates: list[T], is_working: Callable[[Sequence[T]], bool], selected: Sequence[T] = ()
) -> list[T]:
    """Return `selected` and as many candidates as `is_working` accepts together with it, found by bisection.

    All candidates are tried at once, because usually all of them work. Otherwise the two halves are tried in turn,
    the second together with what was selected from the first.
    """
    everything = [*selected, *candidates]
    if not candidates or _is_accepted(is_working, everything):
        return everything
    if len(candidates) == 1:
        return [*selected]
    middle = len(candidates) // 2
    selected_so_far = select_working_subset(candidates[:middle], is_working, selected)
    return select_working_subset(candidates[middle:], is_working, selected_so_far)


def _is_accepted(is_working: Callable[[Sequence[T]], bool], chosen: Sequence[T]) -> bool:
    """Whether a test accepts what was chosen; an error of the network that it runs means that it does not."""
    try:
        return is_working(chosen)
    except (UncuttableGroup, RuntimeError, ValueError, IndexError, AssertionError, TypeError, AttributeError):
        return False


def _draw_trial_channels(groups: Sequence[ChannelGroup]) -> dict[str, list[int]]:
    """Random two fifths of the channels of each group, the same in every call."""
    choice: dict[str, list[int]] = {}
    for group in groups:
        width = group.size // group.blocks
        order = torch.randperm(width, generator=torch.Generator().manual_seed(TRIAL_SEED))
        count = max(1, width * 2 // 5)
        choice[group.name] = expand_to_blocks(group, order[:count].tolist())
    return choice


def _has_standardised_weights(modules: Mapping[str, nn.Module], group: ChannelGroup) -> bool:
    """Whether a layer of the group normalises its weight by its mean and deviation, which zeros in it change."""
    layers = [modules[member.owner] for member in group.members if member.side != "tensor"]
    # By timm's names: StdConv2d, ScaledStdConv2d.
    return any("Std" in type(layer).__name__ for layer in layers)


def _replace_norms_by_scaling(network: nn.Module) -> None:
    """Let norms over channels only scale and shift, so that no channel depends on how many others there are."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            vars(module)["forward"] = MethodType(_scale_and_shift, module)  # bound, so that a deep copy has its own


def _scale_and_shift(norm: Any, x: Tensor) -> Tensor:
    """Scale and shift x, (N, channels, …) or, for a layer norm of tokens, (…, channels)."""
    if norm.weight is None:
        return x
    # timm's LayerNorm2d has its channels in the second dimension, as a group norm does.
    is_channels_last = isinstance(norm, nn.LayerNorm) and "2d" not in type(norm).__name__
    shape = norm.weight.shape if is_channels_last else (1, -1, *[1] * (x.dim() - 2))
    scaled: Tensor = x * norm.weight.view(shape)
    return scaled if norm.bias is None else scaled + norm.bias.view(shape)


def compute_output(network: nn.Module, images: Tensor) -> Tensor:
    """Return what the network computes for `images`, without gradients: logits (N, classes)."""
    with torch.no_grad():
        output: Tensor = network(images)
    return output


def _randomise_vectors(network: nn.Module) -> None:
    """Set vectors and statistics to random positive values: a norm that starts at zero would hide what it scales."""
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.5, 1.5)
