"""PyTorch as it is: operator by operator."""

from pathlib import Path

from convarium.measurement.executors.pytorch import Torch, decoded


def eager(model: Path, threads: int, device: str = "cpu") -> Torch:
    """Load a `.cvm` file."""
    network, where = decoded(model, threads, device)
    return Torch(network, network, where)
