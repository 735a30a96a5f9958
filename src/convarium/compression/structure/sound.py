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

from convarium.architectures.loose_tensors import copied_to_meta, move
from convarium.architectures.ties import find_tied_names, find_tied_owners
from convarium.compression import host
from convarium.compression.structure.coupling import Group, groups
from convarium.compression.structure.cut import Uncuttable, removals, spread, without, zeroed

CLOSE = 1e-6
SEED = 20_230
FEWEST, MOST, PIXELS = 4, 64, 200_000
SETTING = (bool, int, float, str, tuple)
T = TypeVar("T")


def plain(network: nn.Module) -> nn.Module:
    """Return a copy in eval mode, every weight materialised; the network itself stays as it is."""
    copied = deepcopy(network).eval()
    for site in host.represented(copied):
        host.detach(copied, site)
    return copied


def cuttable(network: nn.Module, shape: Sequence[int]) -> tuple[Group, ...]:
    """Return the groups that can be cut; found once for networks of equal structure.

    Args:
        network: plain, in eval mode, of real tensors.
        shape: of an image, (channels, height, width).
    """
    return _cuttable(_case(network, shape))


def runs(network: nn.Module, shape: Sequence[int]) -> tuple[Group, ...]:
    """Return the groups without a part of which the network still runs, tried on the meta device; found once, too.

    Args:
        network: plain, in eval mode, on any device.
        shape: of an image, (channels, height, width).
    """
    return _runs(_case(network, shape))


def computes(network: nn.Module, found: Sequence[Group], shape: Sequence[int]) -> list[Group]:
    """Return the groups without a part of which the network computes what it does with those channels at zero.

    Compared in double precision with random images and random norms and biases, so that nothing is zero by chance; of
    norms over channels only the scales and shifts count. Groups of layers with standardised weights can't be compared
    so, and are taken as they are.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        full = _unmixed(_stirred(move(deepcopy(network), dtype=torch.float64)))
        images = torch.randn(2, *shape, dtype=torch.float64)

    def works(chosen: Sequence[Group]) -> bool:
        gone = removals(full, chosen, _parts(chosen))
        cut, zero = output(without(full, gone)[0], images), output(zeroed(full, gone), images)
        return agree(cut, zero)

    modules = dict(full.named_modules())
    taken = [group for group in found if _standardises(modules, group)]
    exact = largest([group for group in found if group not in taken], works)
    return [group for group in found if group in exact or group in taken]


def logits(network: nn.Module, shape: Sequence[int]) -> Tensor:
    """Return a plain network's logits for random images, float64 (N, classes), with its values and norms as they are.

    Some images are fainter than others, and there are as many as PIXELS allows: what only few of them show (a maximum
    over channels) is found in many. A network that draws numbers does so from the same random state each time.
    """
    count = max(FEWEST, min(MOST, PIXELS // prod(shape)))
    images = torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(SEED))
    images *= torch.logspace(-1, 0, count, dtype=torch.float64).view(-1, *[1] * len(shape))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return output(move(deepcopy(network), dtype=torch.float64), images)


def agree(found: Tensor, expected: Tensor) -> bool:
    """Return whether logits are those expected, to CLOSE of the largest; NaN agrees with nothing."""
    return bool((found - expected).abs().max() <= CLOSE * expected.abs().max())


@dataclass(frozen=True)
class _Case:
    structure: str
    passes: tuple[CodeType | None, ...]
    network: nn.Module = field(compare=False)
    shape: tuple[int, ...]


def _case(network: nn.Module, shape: Sequence[int]) -> _Case:
    """Tell networks apart by all that decides what can be cut: layers, sizes, ties, settings, the code of each pass."""
    sizes = [tuple(tensor.shape) for tensor in network.state_dict().values()]
    settings = [
        sorted((key, repr(value)) for key, value in vars(module).items() if isinstance(value, SETTING))
        for module in network.modules()
    ]
    passes = tuple(getattr(module.forward, "__code__", None) for module in network.modules())
    return _Case(f"{network!r} {sizes} {find_tied_names(network)} {settings}", passes, network, tuple(shape))


@lru_cache(maxsize=8)
def _cuttable(case: _Case) -> tuple[Group, ...]:
    return tuple(computes(case.network, _runs(case), case.shape))


@lru_cache(maxsize=8)
def _runs(case: _Case) -> tuple[Group, ...]:
    empty = copied_to_meta(case.network)
    images = torch.empty(2, *case.shape, device="meta")
    outputs = output(empty, images).shape

    def works(chosen: Sequence[Group]) -> bool:
        cut, _ = without(empty, removals(empty, chosen, _parts(chosen)))
        return output(cut, images).shape == outputs

    tied = find_tied_owners(case.network, modules_once=True)
    found = [group for group in groups(empty, case.shape) if _is_free(group, tied)]
    return tuple(largest(found, works))


def _is_free(group: Group, tied: Set[str]) -> bool:
    """Whether a group may lose channels: not the network's outputs, nor channels of layers that share a tensor."""
    return not group.kept and group.size > group.blocks and not any(touch.owner in tied for touch in group.touched)


def largest(found: list[T], works: Callable[[Sequence[T]], bool], taken: Sequence[T] = ()) -> list[T]:
    """Return what works together with all that is `taken`: everything that is found, else what does of each half."""
    if not found or _passes(works, [*taken, *found]):
        return [*taken, *found]
    if len(found) == 1:
        return [*taken]
    middle = len(found) // 2
    return largest(found[middle:], works, largest(found[:middle], works, taken))


def _passes(works: Callable[[Sequence[T]], bool], chosen: Sequence[T]) -> bool:
    """Whether a test says so; whatever a cut network raises is its way to say no."""
    try:
        return works(chosen)
    except (Uncuttable, RuntimeError, ValueError, IndexError, AssertionError, TypeError, AttributeError):
        return False


def _parts(chosen: Sequence[Group]) -> dict[str, list[int]]:
    """Two fifths of the channels of each group, drawn, the same each time."""
    found = {}
    for group in chosen:
        width = group.size // group.blocks
        order = torch.randperm(width, generator=torch.Generator().manual_seed(SEED))
        found[group.name] = spread(group, order[: max(1, width * 2 // 5)].tolist())
    return found


def _standardises(modules: Mapping[str, nn.Module], group: Group) -> bool:
    """Whether a layer scales its weights by all of them together, so that a zero among them counts."""
    return any("Std" in type(modules[touch.owner]).__name__ for touch in group.touched if touch.side != "tensor")


def _unmixed(network: nn.Module) -> nn.Module:
    """Let norms over channels only scale and shift, so that no channel depends on how many others there are."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm | nn.GroupNorm):
            vars(module)["forward"] = MethodType(_scaled, module)  # bound, so that a deep copy has its own
    return network


def _scaled(norm: Any, x: Tensor) -> Tensor:
    """Map (N, channels, …), or (…, channels) under a layer norm of tokens, to the same shape."""
    if norm.weight is None:
        return x
    last = isinstance(norm, nn.LayerNorm) and "2d" not in type(norm).__name__
    size = norm.weight.shape if last else (1, -1, *[1] * (x.dim() - 2))
    scaled: Tensor = x * norm.weight.view(size)
    return scaled if norm.bias is None else scaled + norm.bias.view(size)


def output(network: nn.Module, images: Tensor) -> Tensor:
    """Return the logits, without gradients."""
    with torch.no_grad():
        output: Tensor = network(images)
    return output


def _stirred(network: nn.Module) -> nn.Module:
    """Make vectors and statistics random and positive: a norm that starts at zero would hide what it scales."""
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.uniform_(0.5, 1.5)
    return network
