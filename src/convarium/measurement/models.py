"""What an executor runs: the compressed file itself, or what is made of it once and kept."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from convarium.compression.file import container
from convarium.compression.file import header as envelope
from convarium.measurement.executors.contract import Loaded
from convarium.names import find

MODEL = "model.onnx"


def made(executor: str, file: Path, images: Tensor, folder: Path) -> Path:
    """Return the model that `executor` runs of a `.cvm` file, written into `folder` unless it is the file itself.

    Args:
        images: float32 (N, C, H, W), normalised, by which activations of 8 bits are calibrated.

    Raises:
        UserError: ONNX can't hold the network, or it can't be quantised.
    """
    if not executor.startswith("onnxruntime"):
        return file
    from convarium.portable import onnx, quantized

    read = container.read(file)
    network, shape = container.network(read), read.header["input"]["shape"]
    if executor == "onnxruntime":
        onnx.write(network, shape, folder / MODEL)
    else:
        with TemporaryDirectory() as place:
            onnx.write(network, shape, Path(place) / MODEL)
            quantized.write(Path(place) / MODEL, images.contiguous().numpy(), folder / MODEL)
    return folder / MODEL


def loaded(executor: str, model: Path, threads: int, device: str = "cpu") -> Loaded:
    """Load a model with the executor that it was made for."""
    found: Loaded = find("measurement.executors", executor)(model, threads, device)
    return found


def shape_of(file: Path) -> list[int]:
    """Return the shape (C, H, W) of the images that a `.cvm` file's network takes; nothing is decoded."""
    header, _, _ = envelope.unwrap(memoryview(file.read_bytes()))
    return list(header["input"]["shape"])


def some(shape: Any, count: int) -> Tensor:
    """Return `count` images of noise of `shape` (C, H, W), float32, always the same."""
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
