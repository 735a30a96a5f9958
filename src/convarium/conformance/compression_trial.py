"""Try a compression method on a network with random weights: the stage itself, without data or retraining."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from convarium.architectures import factory
from convarium.architectures.dry_run import dry_run_architecture
from convarium.compose.points import compose_points
from convarium.compression import run_phases
from convarium.conformance.architecture import build_file_header, build_seeded_network, get_image_shape
from convarium.conformance.tensor_comparison import compute_logits
from convarium.cost.macs import count_macs
from convarium.cvm import container
from convarium.errors import UserError
from convarium.workers.runtime import Runtime

TRIED_METHODS: Mapping[str, tuple[str, ...]] = {
    "pruning/filter_l1": ("compression.filter_l1.epochs=0",),
    "quantization/kmeans": ("compression.kmeans.epochs=0", "compression.kmeans.max_iterations=1"),
    "decomposition/svd": ("compression.svd.epochs=0",),
}
DENSE_FILE, COMPRESSED_FILE = "dense.cvm", "compressed.cvm"


@dataclass(frozen=True)
class CompressionTrial:
    """The outcome.

    Attributes:
        refusal: the line by which the method refuses the network; None where it does not.
        bytes_share: bytes of the compressed file over those of the dense one.
        macs_share: MACs of the compressed network over those of the dense one.
        decodes_exactly: whether the decoded network gives the compressed network's logits bit for bit.
    """

    refusal: str | None = None
    bytes_share: float = 1.0
    macs_share: float = 1.0
    decodes_exactly: bool = False


def try_compression(architecture_config: Mapping[str, Any], method: str) -> CompressionTrial:
    """Compress an architecture's network by one of TRIED_METHODS, and decode the file.

    Raises:
        Exception: what the method raises other than a UserError.
    """
    # A condensing network is compressed in the form that training delivers.
    architecture_config = factory.condense_architecture(architecture_config)
    image_shape = get_image_shape(architecture_config)
    with TemporaryDirectory() as name:
        dense_file, compressed_file = Path(name, DENSE_FILE), Path(name, COMPRESSED_FILE)
        network = build_seeded_network(architecture_config)
        container.write_cvm(dense_file, network, build_file_header(architecture_config), {})
        dense_macs = count_macs(network, image_shape)
        del network
        try:
            compressed = _compress_network(architecture_config, method, Path(name))
        except UserError as error:
            return CompressionTrial(str(error))
        decoded = container.load_cvm(compressed_file)
        is_exact = torch.equal(compute_logits(decoded, image_shape), compute_logits(compressed, image_shape))
        return CompressionTrial(
            refusal=None,
            bytes_share=compressed_file.stat().st_size / dense_file.stat().st_size,
            macs_share=count_macs(decoded, image_shape) / dense_macs,
            decodes_exactly=is_exact,
        )


def _compress_network(architecture_config: Mapping[str, Any], method: str, folder: Path) -> nn.Module:
    """Check the method on the network, run its phases and write the file, as a stage of a run does."""
    step = _compose_step(method)
    run_phases.check_compression_step(dry_run_architecture(architecture_config), step)
    runtime = Runtime(
        folder=folder, checkpoint_folder=folder, threads=1, accelerator="cpu", data_root=None,
        report=lambda **figures: None, check_lease=lambda: None, run_fresh=lambda *_: None,
    )  # fmt: skip
    file = container.read_cvm(folder / DENSE_FILE)
    state = run_phases.run_all_phases(file, {"step": step, "seed": 0, "dataset": {}}, runtime, {})
    header = {**file.header, "surgery": state.surgery}
    container.write_cvm(folder / COMPRESSED_FILE, state.network, header, state.coders)
    return state.network


@cache
def _compose_step(method: str) -> Mapping[str, Any]:
    (point,) = compose_points(("dataset=cifar10", f"compression={method}", *TRIED_METHODS[method])).check_points()
    step: Mapping[str, Any] = point.config["compression"][0]
    return step
