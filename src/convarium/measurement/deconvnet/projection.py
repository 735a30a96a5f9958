"""Maps that an image makes strong, and their projections back to its pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from convarium.datasets.splits import ImageTensors
from convarium.measurement.deconvnet.call_path import ModuleCall, trace_calls, trace_path_to_image

PEAK_BATCH_SIZE = 100


@dataclass(frozen=True)
class Peak:
    """The strongest activation of a map over all images: which `image_index` it is in, and its `activation`."""

    map_index: int
    image_index: int
    activation: float


@dataclass(frozen=True, eq=False)
class Projection:
    """A peak, where in the map it is (row, column), and what of the image it saw: (C, H, W)."""

    peak: Peak
    map_position: tuple[int, int]
    pixels: Tensor


def find_peaks(network: nn.Module, layer: str, images: ImageTensors) -> list[Peak]:
    """Return the peak of each map of a layer over images (N, C, H, W), the strongest map first."""
    best: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, out: best.append(out.flatten(2).amax(2)))
    try:
        with torch.no_grad():
            for start in range(0, len(images), PEAK_BATCH_SIZE):
                before = len(best)
                network(images[start : start + PEAK_BATCH_SIZE])
                del best[before + 1 :]  # of a layer that is called again
    finally:
        hook.remove()
    values, places = torch.cat(best).max(0)
    order = values.argsort(descending=True, stable=True).tolist()
    return [Peak(number, int(places[number]), float(values[number])) for number in order]


def project_peak(network: nn.Module, layer: str, image: Tensor, peak: Peak) -> Projection:
    """Return what of the image (1, C, H, W) makes a map's strongest unit strong; all other units are set to zero.

    Raises:
        UserError: the layer's way back is not a chain.
    """
    way = trace_path_to_image(trace_calls(network, image), layer)
    maps = compute_layer_output(network, layer, image)[0, peak.map_index]
    row, column = divmod(int(maps.argmax()), maps.shape[-1])
    signal = maps.new_zeros(way[0].output_shape)
    signal[0, peak.map_index, row, column] = maps[row, column]
    return Projection(peak, (row, column), project_signal(way, signal)[0])


def project_signal(path: Sequence[ModuleCall], signal: Tensor) -> Tensor:
    """Take a signal of the shape of a layer's output back along a chain, to the shape of the image (1, C, H, W)."""
    with torch.no_grad():
        for call in path:
            assert call.transpose is not None
            signal = call.transpose(signal)
    return signal


def compute_layer_output(network: nn.Module, layer: str, image: Tensor) -> Tensor:
    """Return what the first call of a layer gives for an image (1, C, H, W)."""
    found: list[Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, out: found.append(out.detach().clone()))
    try:
        with torch.no_grad():
            network(image)
    finally:
        hook.remove()
    return found[0]
