"""Networks that suites begin with, trained once in a process."""

import atexit
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from convarium.conformance.stage_harness import StageHarness
from convarium.planning.plan import Node, Plan

SMALL_TRAINING = (
    "dataset=digits", "dataset.img_size=16", "dataset.train_size=64", "recipe.epochs=1", "recipe.batch_size=32",
    "recipe.warmup_epochs=0", "runtime.accelerator=cpu",
)  # fmt: skip
TRIED_NETWORKS = {
    "lenet5": ("architecture=lenet5",),
    "resnet": ("architecture=timm", "architecture.name=test_resnet"),
    "depthwise": ("architecture=timm", "architecture.name=test_efficientnet"),
}


@cache
def open_harness() -> StageHarness:
    """Return where this process makes its stages; the folder is removed when it ends."""
    folder = TemporaryDirectory(prefix="convarium-conformance-")
    atexit.register(folder.cleanup)
    return StageHarness(Path(folder.name))


def list_nodes_to(plan: Plan, signature: str) -> list[Node]:
    """Return the stages that lead to a network, parents first."""
    node = plan.nodes[signature]
    return [*(one for parent in node.parents for one in list_nodes_to(plan, parent)), node]


def run_missing_stages(nodes: list[Node]) -> None:
    """Make those of `nodes` that are not made yet."""
    for node in nodes:
        if not open_harness().network_path(node).exists():
            open_harness().run_stage(node)
