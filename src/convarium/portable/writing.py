"""A stored network in one of the formats, with what it is written inside."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convarium import datasets, names
from convarium.compression.file import container
from convarium.measurement.quality import as_trained
from convarium.portable import onnx, quantized, safetensors, torch_export
from convarium.portable.card import Card
from convarium.portable.origin import Origin
from convarium.stages.clock import CALIBRATION_IMAGES


def write(
    form: str, origin: Origin, dataset: Mapping[str, Any], root: str | None, cache: Path | None, path: Path
) -> None:
    """Write a stored network's decoded weights in a format.

    Args:
        form: onnx, onnx_int8, safetensors or torch_export; cvm is the stored file itself.
        dataset, root, cache: whose validation images int8 is calibrated on, those of the executor onnxruntime_int8.

    Raises:
        UserError: the format can't hold it, or the images are not there.
    """
    with names.allowing(origin.allow):
        file = container.read(origin.path)
        network = container.network(file)
    card, shape = Card(origin.signature, form, file.header), file.header["input"]["shape"]
    if form == "safetensors":
        safetensors.write(network, card, path)
    elif form == "torch_export":
        torch_export.write(network, shape, card, path)
    elif form == "onnx":
        onnx.write(network, shape, path)
        onnx.describe(path, card)
    else:
        images = calibration(dataset, root, cache, file.header)
        with TemporaryDirectory() as folder:
            onnx.write(network, shape, Path(folder) / "float.onnx")
            quantized.write(Path(folder) / "float.onnx", images, path)
        onnx.describe(path, card)


def calibration(
    dataset: Mapping[str, Any], root: str | None, cache: Path | None, header: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return CALIBRATION_IMAGES of validation, evenly from all, normalised for the network: float32 (N, C, H, W).

    Raises:
        UserError: they are not there.
    """
    splits = datasets.load(datasets.scaled_for(header, dataset), root, ("validation",), cache)
    tensors = as_trained(splits.validation, splits, header)
    places = torch.linspace(0, len(tensors) - 1, min(CALIBRATION_IMAGES, len(tensors))).round().long()
    images: NDArray[np.float32] = tensors.images[places].contiguous().numpy()
    return images
