"""Networks that suites start from, each trained once in a process."""

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
    """Return the harness of this process; its folder is removed when the process ends."""
    folder = TemporaryDirectory(prefix="convarium-conformance-")
    atexit.register(folder.cleanup)
    return StageHarness(Path(folder.name))


def list_nodes_to(plan: Plan, signature: str) -> list[Node]:
    """Return the stages that lead to a network, parents first."""
    node = plan.nodes[signature]
    nodes: list[Node] = []
    for parent in node.parents:
        nodes += list_nodes_to(plan, parent)
    return [*nodes, node]


def run_missing_stages(nodes: list[Node]) -> None:
    """Run those stages whose network this process has not made yet."""
    harness = open_harness()
    for node in nodes:
        if not harness.network_path(node).exists():
            harness.run_stage(node)
