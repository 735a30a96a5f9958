"""A stored network in one of the formats, with what it is written inside."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from convarium import lookup
from convarium.cvm import container
from convarium.datasets.loading import load_splits, match_value_range
from convarium.measurement.quality import normalise_for_network
from convarium.portable import onnx_file, onnx_int8_file, safetensors_file, torch_export_file
from convarium.portable.model_card import ModelCard
from convarium.portable.stored_network import StoredNetwork
from convarium.stages.timing_config import CALIBRATION_IMAGES


def write_export(
    format_name: str,
    origin: StoredNetwork,
    dataset: Mapping[str, Any],
    root: str | None,
    cache: Path | None,
    path: Path,
) -> None:
    """Write a stored network's decoded weights in a format.

    Args:
        format_name: onnx, onnx_int8, safetensors or torch_export; cvm is the stored file itself.
        dataset, root, cache: whose validation images int8 is calibrated on, those of the executor onnxruntime_int8.

    Raises:
        UserError: the format can't hold it, or the images are not there.
    """
    with lookup.allow_packages(origin.allowed_packages):
        file = container.read_cvm(origin.path)
        network = container.materialise_network(file)
    card, shape = ModelCard(origin.signature, format_name, file.header), file.header["input"]["shape"]
    if format_name == "safetensors":
        safetensors_file.write_safetensors(network, card, path)
    elif format_name == "torch_export":
        torch_export_file.write_torch_export(network, shape, card, path)
    elif format_name == "onnx":
        onnx_file.write_onnx(network, shape, path)
        onnx_file.write_onnx_card(path, card)
    else:
        images = load_calibration_images(dataset, root, cache, file.header)
        with TemporaryDirectory() as folder:
            onnx_file.write_onnx(network, shape, Path(folder) / "float.onnx")
            onnx_int8_file.write_onnx_int8(Path(folder) / "float.onnx", images, path)
        onnx_file.write_onnx_card(path, card)


def load_calibration_images(
    dataset: Mapping[str, Any], root: str | None, cache: Path | None, header: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return CALIBRATION_IMAGES of validation, evenly from all, normalised for the network: float32 (N, C, H, W).

    Raises:
        UserError: they are not there.
    """
    splits = load_splits(match_value_range(header, dataset), root, ("validation",), cache)
    tensors = normalise_for_network(splits.validation, splits, header)
    places = torch.linspace(0, len(tensors) - 1, min(CALIBRATION_IMAGES, len(tensors))).round().long()
    images: NDArray[np.float32] = tensors.images[places].contiguous().numpy()
    return images
