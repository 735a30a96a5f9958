"""A network of PyTorch: a module, or what was compiled of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convarium.architectures.loose_tensors import move
from convarium.compression.file import container
from convarium.errors import UserError
from convarium.measurement import memory


@dataclass(frozen=True)
class Torch:
    """A plain network in eval mode, and what is called to run it."""

    network: nn.Module
    run: Callable[[Tensor], Tensor]
    device: torch.device

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, classes), on the CPU."""
        with torch.inference_mode():
            return self.run(images.to(self.device)).cpu()

    def call(self, images: Tensor) -> Callable[[], Any]:
        """Return one pass, without gradients; on a GPU it is only handed over, the clock waits (`latency.clock`)."""
        run, given = self.run, images.to(self.device)

        @torch.inference_mode()
        def once() -> Tensor:
            return run(given)

        return once

    def peak_bytes(self, images: Tensor) -> int | None:
        """Return bytes of weights and buffers, plus the most that torch's allocator held at once during a pass."""
        of = memory.peak_bytes if self.device.type == "cpu" else memory.peak_bytes_of_gpu
        return of(self.network, self.call(images))

    def model_bytes(self) -> int:
        """Return bytes of weights and buffers."""
        return memory.held_bytes(self.network)


def decoded(path: Path, threads: int, device: str) -> tuple[nn.Module, torch.device]:
    """Return the network of a `.cvm` file in eval mode, and the device ("cpu" or "gpu") it is on.

    Raises:
        UserError: the file is damaged, or there is no such device.
    """
    torch.set_num_threads(threads)
    if device == "gpu" and not torch.cuda.is_available():
        raise UserError("measurement.device=gpu: this PyTorch finds no GPU")
    where = torch.device("cuda" if device == "gpu" else "cpu")
    return move(container.network(container.read(path)).eval(), where), where
