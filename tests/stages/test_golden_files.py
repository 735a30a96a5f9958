"""Files of compressed networks stay the same, byte for byte, whatever moves in the code.

The dense weights are whole numbers over 64 and nothing is trained, so no sum is rounded and the bytes do not depend on
the processor. A digest that changes means that files written today are not those of yesterday: the number of the format
or the version of a method has to rise.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from convarium.architectures import factory
from convarium.cvm import container
from stages.stage_harness import StageHarness, plan_command_nodes

IMAGES = ("dataset=digits", "dataset.img_size=16", "dataset.train_size=200")
PRUNED = ("compression.magnitude.sparsity=0.8", "compression.magnitude.rounds=1", "compression.magnitude.epochs=0")
SHARED = ("compression.kmeans.bits=6", "compression.kmeans.epochs=0")
LEVELS = (
    "compression.levels.initial_scale_factor=1.4",
    "compression.levels.bias_bits=0",
    "compression.levels.epochs=0",
)
CUT = ("compression.filter_l1.channels_removed=0.4", "compression.filter_l1.epochs=0")
CHAINS = {
    "pruned, shared, Huffman": ("compression=[magnitude,kmeans,huffman]", *PRUNED, *SHARED),
    "filters cut out": ("compression=filter_l1", *CUT),
    "pruned, levels, arithmetic": ("compression=[magnitude,levels,arithmetic]", *PRUNED, *LEVELS),
}


def write_dense_network(path: Path, own: dict[str, Any]) -> None:
    """Write the network of a `train` stage with weights of -31/64 to 31/64, none of them 0."""
    architecture = own["architecture"]
    network = factory.build_architecture(
        {key: value for key, value in architecture.items() if key not in ("weights", "pretrained")}
    )
    with torch.no_grad():
        for number, tensor in enumerate(network.parameters()):
            places = torch.arange(tensor.numel(), dtype=torch.int64)
            drawn = (places * places * 7919 + places * 104_729 + number * 31) % 1_000_003 % 62
            tensor.copy_((torch.where(drawn < 31, drawn - 31, drawn - 30) / 64).view(tensor.shape))
    given = {"shape": [1, 16, 16], "mean": [0.25], "std": [0.5]}
    header = {
        "architecture": architecture, "task": "classification", "classes": [str(digit) for digit in range(10)],
        "input": given, "surgery": [],
    }  # fmt: skip
    path.parent.mkdir(parents=True)
    container.write_cvm(path, network, header, {})


@pytest.mark.parametrize(
    ("chain", "digests"),
    [
        ("pruned, shared, Huffman", ["9372e4614fcf334c", "76fb8558c324c870", "4e90a999d9831e05"]),
        ("filters cut out", ["15d24976c454500f"]),
        ("pruned, levels, arithmetic", ["9372e4614fcf334c", "fb1e65e5995e2528", "951925d9bb1ab953"]),
    ],
)
def test_the_bytes_of_a_chain_stay_what_they_are(chain: str, digests: list[str], tmp_path: Path) -> None:
    train, *steps, _ = plan_command_nodes("architecture=lenet5", *IMAGES, *CHAINS[chain])
    bench = StageHarness(tmp_path)
    write_dense_network(bench.network_path(train), train.stage_config)
    assert [sha256(bench.run_stage(node)).hexdigest()[:16] for node in steps] == digests
