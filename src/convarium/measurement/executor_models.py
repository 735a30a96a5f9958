"""What an executor runs: the compressed file itself, or what is made of it once and kept."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from convarium.cvm import container
from convarium.cvm import header as envelope
from convarium.lookup import find_by_name
from convarium.measurement.executors.loaded_model import LoadedModel
from convarium.store.result_folder import ResultFolder


def prepare_model(executor: str, file: Path, images: Tensor, folder: Path) -> Path:
    """Return the model that `executor` runs of a `.cvm` file, written into `folder` unless it is the file itself.

    Args:
        images: float32 (N, C, H, W), normalised, by which activations of 8 bits are calibrated.

    Raises:
        UserError: ONNX can't hold the network, or it can't be quantised.
    """
    if not executor.startswith("onnxruntime"):
        return file
    from convarium.portable import onnx_file, onnx_int8_file

    read = container.read_cvm(file)
    network, shape = container.materialise_network(read), read.header["input"]["shape"]
    if executor == "onnxruntime":
        onnx_file.write_onnx(network, shape, ResultFolder(folder).onnx_model)
    else:
        with TemporaryDirectory() as place:
            onnx_file.write_onnx(network, shape, ResultFolder(Path(place)).onnx_model)
            onnx_int8_file.write_onnx_int8(
                ResultFolder(Path(place)).onnx_model, images.contiguous().numpy(), ResultFolder(folder).onnx_model
            )
    return ResultFolder(folder).onnx_model


def load_model(executor: str, model: Path, threads: int, device: str = "cpu") -> LoadedModel:
    """Load a model with the executor that it was made for."""
    found: LoadedModel = find_by_name("measurement.executors", executor)(model, threads, device)
    return found


def read_input_shape(file: Path) -> list[int]:
    """Return the shape (C, H, W) of the images that a `.cvm` file's network takes; nothing is decoded."""
    header, _, _ = envelope.unpack_file(memoryview(file.read_bytes()))
    return list(header["input"]["shape"])


def make_noise_images(shape: Any, count: int) -> Tensor:
    """Return `count` images of noise of `shape` (C, H, W), float32, always the same."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
