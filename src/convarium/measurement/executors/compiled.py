"""torch.compile with its default backend, inductor: kernels in C++ for the CPU, in Triton for a GPU."""

from pathlib import Path
from typing import Any

from convarium.measurement.executors.torch_model import TorchModel, load_decoded_network


def compiled(model: Path, threads: int, device: str = "cpu") -> TorchModel:
    """Load a `.cvm` file; the first pass compiles it, for images of that shape only.

    Inductor keeps what it has compiled in its own cache (TORCHINDUCTOR_CACHE_DIR).
    """
    import torch
    from torch._inductor import config

    inductor_config: Any = config
    inductor_config.compile_threads = 1  # a pool of processes would outlive the forked one
    network, torch_device = load_decoded_network(model, threads, device)
    return TorchModel(network, torch.compile(network, dynamic=False), torch_device)
