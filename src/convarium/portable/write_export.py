"""Writing a stored network in one of the export formats, with its card inside."""

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
from convarium.measurement.measured_network import normalise_for_network
from convarium.portable import onnx_file, onnx_int8_file, safetensors_file, torch_export_file
from convarium.portable.model_card import ModelCard
from convarium.portable.stored_network import StoredNetwork
from convarium.stages.timing_config import CALIBRATION_IMAGES


def write_export(
    format_name: str,
    stored_network: StoredNetwork,
    dataset: Mapping[str, Any],
    root: str | None,
    cache: Path | None,
    path: Path,
) -> None:
    """Write the decoded weights of a stored network in another format.

    Args:
        format_name: onnx, onnx_int8, safetensors or torch_export (cvm is the stored file itself).
        dataset: config of the dataset that int8 is calibrated on; other formats need no images.
        root: folder of the dataset's files.
        cache: folder of decoded images.

    Raises:
        UserError: the format can't hold the network, or the calibration images can't be read.
    """
    with lookup.allow_packages(stored_network.allowed_packages):
        file = container.read_cvm(stored_network.path)
        network = container.materialise_network(file)
    card = ModelCard(stored_network.signature, format_name, file.header)
    shape = file.header["input"]["shape"]
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
            float_path = Path(folder) / "float.onnx"
            onnx_file.write_onnx(network, shape, float_path)
            onnx_int8_file.write_onnx_int8(float_path, images, path)
        onnx_file.write_onnx_card(path, card)


def load_calibration_images(
    dataset: Mapping[str, Any], root: str | None, cache: Path | None, header: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return CALIBRATION_IMAGES evenly spread validation images, normalised for the network: float32 (N, C, H, W).

    As many and as spread as for the executor onnxruntime_int8, so that file and executor have the same ranges.

    Args:
        dataset, root, cache: as in `write_export`.
        header: of the network's `.cvm` file.

    Raises:
        UserError: the dataset has no validation images, or they can't be read.
    """
    splits = load_splits(match_value_range(header, dataset), root, ("validation",), cache)
    tensors = normalise_for_network(splits.validation, splits, header)
    count = min(CALIBRATION_IMAGES, len(tensors))
    positions = torch.linspace(0, len(tensors) - 1, count).round().long()
    images: NDArray[np.float32] = tensors.images[positions].contiguous().numpy()
    return images
