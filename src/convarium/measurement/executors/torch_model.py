"""A PyTorch network in eager mode or compiled."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from convarium.architectures.unsaved_tensors import move_network
from convarium.cvm import container
from convarium.errors import UserError
from convarium.measurement import memory


@dataclass(frozen=True)
class TorchModel:
    """A plain network in eval mode, and `run`, which is the network itself or its compiled form."""

    network: nn.Module
    run: Callable[[Tensor], Tensor]
    device: torch.device

    def compute_logits(self, images: Tensor) -> Tensor:
        """Return the logits, float32 (N, classes), on the CPU."""
        with torch.inference_mode():
            return self.run(images.to(self.device)).cpu()

    def make_forward_pass(self, images: Tensor) -> Callable[[], Any]:
        """Return a forward pass without gradients; on a GPU it is only queued, the clock waits for its end."""
        run, device_images = self.run, images.to(self.device)

        @torch.inference_mode()
        def run_forward_pass() -> Tensor:
            return run(device_images)

        return run_forward_pass

    def measure_peak_bytes(self, images: Tensor) -> int | None:
        """Return bytes of weights and buffers, plus the most that torch's allocator held at once during a pass."""
        forward = self.make_forward_pass(images)
        if self.device.type == "cpu":
            return memory.measure_cpu_peak_bytes(self.network, forward)
        return memory.measure_gpu_peak_bytes(self.network, forward)

    def count_model_bytes(self) -> int:
        """Return bytes of weights and buffers."""
        return memory.count_state_bytes(self.network)


def load_decoded_network(path: Path, threads: int, device: str) -> tuple[nn.Module, torch.device]:
    """Return the network of a `.cvm` file in eval mode, and the device ("cpu" or "gpu") it is on.

    Raises:
        UserError: the file is damaged, or there is no such device.
    """
    torch.set_num_threads(threads)
    if device == "gpu" and not torch.cuda.is_available():
        raise UserError("measurement.device=gpu: this PyTorch finds no GPU")
    torch_device = torch.device("cuda" if device == "gpu" else "cpu")
    network = container.materialise_network(container.read_cvm(path)).eval()
    return move_network(network, torch_device), torch_device
