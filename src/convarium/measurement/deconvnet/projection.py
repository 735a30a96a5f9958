"""Peak activations of feature maps, and their projections back to the pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from convarium.datasets.splits import ImageTensors
from convarium.measurement.deconvnet.call_path import ModuleCall, trace_calls, trace_path_to_image

PEAK_BATCH_SIZE = 100


@dataclass(frozen=True)
class Peak:
    """The strongest activation of a map over all images, and the image that it is in."""

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
    maxima: list[Tensor] = []

    def record_maxima(_module: nn.Module, _inputs: Any, maps: Tensor) -> None:
        maxima.append(maps.flatten(2).amax(2))

    hook = network.get_submodule(layer).register_forward_hook(record_maxima)
    try:
        with torch.no_grad():
            for batch_index, start in enumerate(range(0, len(images), PEAK_BATCH_SIZE)):
                network(images[start : start + PEAK_BATCH_SIZE])
                del maxima[batch_index + 1 :]  # later calls of a layer that the network calls more than once
    finally:
        hook.remove()
    activations, image_indices = torch.cat(maxima).max(0)
    map_order = activations.argsort(descending=True, stable=True).tolist()
    return [Peak(index, int(image_indices[index]), float(activations[index])) for index in map_order]


def project_peak(network: nn.Module, layer: str, image: Tensor, peak: Peak) -> Projection:
    """Return what of the image (1, C, H, W) makes a map's strongest unit strong; all other units are set to zero.

    Raises:
        UserError: the layer's way back is not a chain.
    """
    path = trace_path_to_image(trace_calls(network, image), layer)
    feature_map = compute_layer_output(network, layer, image)[0, peak.map_index]
    row, column = divmod(int(feature_map.argmax()), feature_map.shape[-1])
    signal = feature_map.new_zeros(path[0].output_shape)
    signal[0, peak.map_index, row, column] = feature_map[row, column]
    return Projection(peak, (row, column), project_signal(path, signal)[0])


def project_signal(path: Sequence[ModuleCall], signal: Tensor) -> Tensor:
    """Take a signal of the shape of a layer's output back along a chain, to the shape of the image (1, C, H, W)."""
    with torch.no_grad():
        for call in path:
            assert call.transpose is not None
            signal = call.transpose(signal)
    return signal


def compute_layer_output(network: nn.Module, layer: str, image: Tensor) -> Tensor:
    """Return what the first call of a layer returns for an image (1, C, H, W)."""
    outputs: list[Tensor] = []

    def record_output(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        outputs.append(output.detach().clone())  # a later layer may change it in place

    hook = network.get_submodule(layer).register_forward_hook(record_output)
    try:
        with torch.no_grad():
            network(image)
    finally:
        hook.remove()
    return outputs[0]
