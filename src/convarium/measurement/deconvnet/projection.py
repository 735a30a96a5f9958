"""Maps that an image makes strong, and their projections back to its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convarium.datasets.splits import Images
from convarium.measurement.deconvnet.chain import Call, calls, chain

AT_ONCE = 100


@dataclass(frozen=True)
class Peak:
    """The strongest activation of a map over all images: which `image` it is in, and its `value`."""

    map: int
    image: int
    value: float


@dataclass(frozen=True, eq=False)
class Projection:
    """A peak, where in the map it is (row, column), and what of the image it saw: (C, H, W)."""

    peak: Peak
    place: tuple[int, int]
    pixels: Tensor


def peaks(network: nn.Module, layer: str, images: Images) -> list[Peak]:
    """Return the peak of each map of a layer over images (N, C, H, W), the strongest map first."""
    best: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, out: best.append(out.flatten(2).amax(2)))
    try:
        with torch.no_grad():
            for start in range(0, len(images), AT_ONCE):
                before = len(best)
                network(images[start : start + AT_ONCE])
                del best[before + 1 :]  # of a layer that is called again
    finally:
        hook.remove()
    values, places = torch.cat(best).max(0)
    order = values.argsort(descending=True, stable=True).tolist()
    return [Peak(number, int(places[number]), float(values[number])) for number in order]


def projected(network: nn.Module, layer: str, image: Tensor, peak: Peak) -> Projection:
    """Return what of the image (1, C, H, W) makes a map's strongest unit strong; all other units are set to zero.

    Raises:
        UserError: the layer's way back is not a chain.
    """
    way = chain(calls(network, image), layer)
    maps = output(network, layer, image)[0, peak.map]
    row, column = divmod(int(maps.argmax()), maps.shape[-1])
    signal = maps.new_zeros(way[0].maps)
    signal[0, peak.map, row, column] = maps[row, column]
    return Projection(peak, (row, column), project(way, signal)[0])


def project(way: Sequence[Call], signal: Tensor) -> Tensor:
    """Take a signal of the shape of a layer's output back along a chain, to the shape of the image (1, C, H, W)."""
    with torch.no_grad():
        for call in way:
            assert call.back is not None
            signal = call.back(signal)
    return signal


def output(network: nn.Module, layer: str, image: Tensor) -> Tensor:
    """Return what the first call of a layer gives for an image (1, C, H, W)."""
    found: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, out: found.append(out.detach().clone()))
    try:
        with torch.no_grad():
            network(image)
    finally:
        hook.remove()
    return found[0]
