"""PyTorch's eager mode: operator by operator."""

from pathlib import Path

from convarium.measurement.executors.torch_model import TorchModel, load_decoded_network


def eager(model: Path, threads: int, device: str = "cpu") -> TorchModel:
    """Load a `.cvm` file."""
    network, torch_device = load_decoded_network(model, threads, device)
    return TorchModel(network, network, torch_device)
