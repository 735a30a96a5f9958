"""The model that an executor runs: the compressed file itself, or an ONNX file that is written from it once."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from convarium.cvm import container
from convarium.cvm.header import unpack_file
from convarium.lookup import find_by_name
from convarium.measurement.executors.loaded_model import LoadedModel
from convarium.store.result_folder import ResultFolder


def prepare_model(executor: str, file: Path, images: Tensor, folder: Path) -> Path:
    """Return the model that `executor` runs of a `.cvm` file, written into `folder` unless it is the file itself.

    Args:
        images: float32 (N, C, H, W), normalised, on which 8-bit activations are calibrated.

    Raises:
        UserError: ONNX can't hold the network, or it can't be quantised.
    """
    if not executor.startswith("onnxruntime"):
        return file
    from convarium.portable import onnx_file, onnx_int8_file

    compressed_file = container.read_cvm(file)
    network = container.materialise_network(compressed_file)
    shape = compressed_file.header["input"]["shape"]
    model = ResultFolder(folder).onnx_model
    if executor == "onnxruntime":
        onnx_file.write_onnx(network, shape, model)
        return model
    with TemporaryDirectory() as temporary_folder:
        float_model = ResultFolder(Path(temporary_folder)).onnx_model
        onnx_file.write_onnx(network, shape, float_model)
        onnx_int8_file.write_onnx_int8(float_model, images.contiguous().numpy(), model)
    return model


def load_model(executor: str, model: Path, threads: int, device: str = "cpu") -> LoadedModel:
    """Load a model with the executor that it was made for."""
    load = find_by_name("measurement.executors", executor)
    loaded: LoadedModel = load(model, threads, device)
    return loaded


def read_input_shape(file: Path) -> list[int]:
    """Return the shape (C, H, W) of the images that a `.cvm` file's network takes; nothing is decoded."""
    header, _, _ = unpack_file(memoryview(file.read_bytes()))
    return list(header["input"]["shape"])


def make_noise_images(shape: Any, count: int) -> Tensor:
    """Return `count` images of noise of `shape` (C, H, W), float32, always the same."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
