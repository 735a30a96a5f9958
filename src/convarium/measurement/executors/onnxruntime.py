"""onnxruntime on the CPU, in float32."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from convarium.portable.onnx_session import ImageArray, load_onnx_runner


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file, loaded."""

    model: Path
    run: Callable[[ImageArray], ImageArray]

    def compute_logits(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, classes)."""
        return torch.from_numpy(self.run(images.contiguous().numpy()))

    def make_forward_pass(self, images: Tensor) -> Callable[[], Any]:
        """Return a forward pass from an array of numpy to an array of numpy."""
        run, image_array = self.run, images.contiguous().numpy()
        return lambda: run(image_array)

    def measure_peak_bytes(self, images: Tensor) -> int | None:
        """Return None: onnxruntime reports no peak of its arena, and the growth of the process is mostly random."""
        return None

    def count_model_bytes(self) -> int:
        """Return the size of the ONNX file."""
        return self.model.stat().st_size


def onnxruntime(model: Path, threads: int, device: str = "cpu") -> OnnxModel:
    """Load an ONNX file; `threads` within an operator, one operator after the other."""
    return OnnxModel(model, load_onnx_runner(model, threads))
