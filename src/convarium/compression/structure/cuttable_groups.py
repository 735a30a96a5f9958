"""Which groups of channels can really be cut: those without which the network still runs, and computes what it should.

A tracer can be wrong where a network reshapes, shuffles or splits channels by numbers of its own. So groups are tried:
without a part of their channels the network must run, and give what it gives with those channels at zero. Groups that
fail are left whole (attention heads, splits of fixed sizes).
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

LOGITS_TOLERANCE = 1e-6
TRIAL_SEED = 20_230
MIN_IMAGES, MAX_IMAGES, MAX_PIXELS = 4, 64, 200_000
SETTING_TYPES = (bool, int, float, str, tuple)
T = TypeVar("T")


def copy_plain_network(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode, every weight materialised; the network itself stays as it is."""
    copied = deepcopy(network).eval()
    for site in parametrization.collect_representations(copied):
        parametrization.detach_representation(copied, site)
    return copied


def find_cuttable_groups(network: nn.Module, shape: Sequence[int]) -> tuple[ChannelGroup, ...]:
    """Return the groups that can be cut; found once for networks of equal structure.

    Args:
        network: plain, in eval mode, of real tensors.
        shape: of an image, (channels, height, width).
    """
    return _find_cuttable_cached(_build_structure_key(network, shape))


def find_runnable_groups(network: nn.Module, shape: Sequence[int]) -> tuple[ChannelGroup, ...]:
    """Return the groups without a part of which the network still runs, tried on the meta device; found once, too.

    Args:
        network: plain, in eval mode, on any device.
        shape: of an image, (channels, height, width).
    """
    return _find_runnable_cached(_build_structure_key(network, shape))


def select_exact_groups(network: nn.Module, groups: Sequence[ChannelGroup], shape: Sequence[int]) -> list[ChannelGroup]:
    """Return the groups without a part of which the network computes what it does with those channels at zero.

    Compared in double precision with random images and random norms and biases, so that nothing is zero by chance; of
    norms over channels only the scales and shifts count. Groups of layers with standardised weights can't be compared
    so, and are taken as they are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TRIAL_SEED)
        full = _replace_norms_by_scaling(_randomise_vectors(move_network(deepcopy(network), dtype=torch.float64)))
        images = torch.randn(2, *shape, dtype=torch.float64)

    def works(chosen: Sequence[ChannelGroup]) -> bool:
        gone = plan_removals(full, chosen, _draw_trial_channels(chosen))
        cut, zero = (
            compute_output(cut_channels(full, gone)[0], images),
            compute_output(zero_channels(full, gone), images),
        )
        return has_same_logits(cut, zero)

    modules = dict(full.named_modules())
    taken = [group for group in groups if _has_standardised_weights(modules, group)]
    exact = select_working_subset([group for group in groups if group not in taken], works)
    return [group for group in groups if group in exact or group in taken]


def compute_random_logits(network: nn.Module, shape: Sequence[int]) -> Tensor:
    """Return a plain network's logits for random images, float64 (N, classes), with its values and norms as they are.

    Some images are fainter than others, and there are as many as MAX_PIXELS allows: what only few of them show (a
    maximum over channels) is found in many. A network that draws numbers does so from the same random state each time.
    """
    count = max(MIN_IMAGES, min(MAX_IMAGES, MAX_PIXELS // prod(shape)))
    images = torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(TRIAL_SEED))
    images *= torch.logspace(-1, 0, count, dtype=torch.float64).view(-1, *[1] * len(shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(TRIAL_SEED)
        return compute_output(move_network(deepcopy(network), dtype=torch.float64), images)


def has_same_logits(found: Tensor, expected: Tensor) -> bool:
    """Return whether logits are those expected, to LOGITS_TOLERANCE of the largest; NaN agrees with nothing."""
    return bool((found - expected).abs().max() <= LOGITS_TOLERANCE * expected.abs().max())


@dataclass(frozen=True)
class _StructureKey:
    structure: str
    forward_codes: tuple[CodeType | None, ...]
    network: nn.Module = field(compare=False)
    shape: tuple[int, ...]


def _build_structure_key(network: nn.Module, shape: Sequence[int]) -> _StructureKey:
    """Tell networks apart by all that decides what can be cut: layers, sizes, ties, settings, the code of each pass."""
    sizes = [tuple(tensor.shape) for tensor in network.state_dict().values()]
    settings = [
        sorted((key, repr(value)) for key, value in vars(module).items() if isinstance(value, SETTING_TYPES))
        for module in network.modules()
    ]
    passes = tuple(getattr(module.forward, "__code__", None) for module in network.modules())
    return _StructureKey(f"{network!r} {sizes} {find_tied_names(network)} {settings}", passes, network, tuple(shape))


@lru_cache(maxsize=8)
def _find_cuttable_cached(case: _StructureKey) -> tuple[ChannelGroup, ...]:
    return tuple(select_exact_groups(case.network, _find_runnable_cached(case), case.shape))


@lru_cache(maxsize=8)
def _find_runnable_cached(case: _StructureKey) -> tuple[ChannelGroup, ...]:
    empty = copy_to_meta(case.network)
    images = torch.empty(2, *case.shape, device="meta")
    outputs = compute_output(empty, images).shape

    def works(chosen: Sequence[ChannelGroup]) -> bool:
        cut, _ = cut_channels(empty, plan_removals(empty, chosen, _draw_trial_channels(chosen)))
        return compute_output(cut, images).shape == outputs

    tied = find_tied_owners(case.network, modules_once=True)
    found = [group for group in trace_groups(empty, case.shape) if _is_prunable(group, tied)]
    return tuple(select_working_subset(found, works))


def _is_prunable(group: ChannelGroup, tied: Set[str]) -> bool:
    """Whether a group may lose channels: not the network's outputs, nor channels of layers that share a tensor."""
    return (
        not group.is_uncuttable
        and group.size > group.blocks
        and not any(touch.owner in tied for touch in group.members)
    )


def select_working_subset(
    candidates: list[T], works: Callable[[Sequence[T]], bool], taken: Sequence[T] = ()
) -> list[T]:
    """Return what works together with all that is `taken`: everything that is found, else what does of each half."""
    if not candidates or _is_working(works, [*taken, *candidates]):
        return [*taken, *candidates]
    if len(candidates) == 1:
        return [*taken]
    middle = len(candidates) // 2
    return select_working_subset(candidates[middle:], works, select_working_subset(candidates[:middle], works, taken))


def _is_working(works: Callable[[Sequence[T]], bool], chosen: Sequence[T]) -> bool:
    """Whether a test says so; whatever a cut network raises is its way to say no."""
    try:
        return works(chosen)
    except (UncuttableGroup, RuntimeError, ValueError, IndexError, AssertionError, TypeError, AttributeError):
        return False


def _draw_trial_channels(chosen: Sequence[ChannelGroup]) -> dict[str, list[int]]:
    """Two fifths of the channels of each group, drawn, the same each time."""
    found = {}
    for group in chosen:
        width = group.size // group.blocks
        order = torch.randperm(width, generator=torch.Generator().manual_seed(TRIAL_SEED))
        found[group.name] = expand_to_blocks(group, order[: max(1, width * 2 // 5)].tolist())
    return found


def _has_standardised_weights(modules: Mapping[str, nn.Module], group: ChannelGroup) -> bool:
    """Whether a layer scales its weights by all of them together, so that a zero among them counts."""
    return any("Std" in type(modules[touch.owner]).__name__ for touch in group.members if touch.side != "tensor")


def _replace_norms_by_scaling(network: nn.Module) -> nn.Module:
    """Let norms over channels only scale and shift, so that no channel depends on how many others there are."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            vars(module)["forward"] = MethodType(_scale_and_shift, module)  # bound, so that a deep copy has its own
    return network


def _scale_and_shift(norm: Any, x: Tensor) -> Tensor:
    """Map (N, channels, …), or (…, channels) under a layer norm of tokens, to the same shape."""
    if norm.weight is None:
        return x
    last = isinstance(norm, nn.LayerNorm) and "2d" not in type(norm).__name__
    size = norm.weight.shape if last else (1, -1, *[1] * (x.dim() - 2))
    scaled: Tensor = x * norm.weight.view(size)
    return scaled if norm.bias is None else scaled + norm.bias.view(size)


def compute_output(network: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, without gradients."""
    with torch.no_grad():
        output: Tensor = network(images)
    return output


def _randomise_vectors(network: nn.Module) -> nn.Module:
    """Make vectors and statistics random and positive: a norm that starts at zero would hide what it scales."""
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.5, 1.5)
    return network
