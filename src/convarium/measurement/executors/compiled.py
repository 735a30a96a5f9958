"""torch.compile with its default backend, inductor: kernels in C++ for the CPU, in Triton for a GPU."""

from pathlib import Path
from typing import Any

from convarium.measurement.executors.torch_model import TorchModel, load_decoded_network


def compiled(model: Path, threads: int, device: str = "cpu") -> TorchModel:
    """Load a `.cvm` file; the first pass compiles it, for images of that shape only.

    What was compiled before is found in inductor's own cache (TORCHINDUCTOR_CACHE_DIR).
    """
    import torch
    from torch._inductor import config

    settings: Any = config
    settings.compile_threads = 1  # a pool of processes would outlive the forked one
    network, where = load_decoded_network(model, threads, device)
    return TorchModel(network, torch.compile(network, dynamic=False), where)
