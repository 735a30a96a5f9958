"""The call of a stage's function, in this process or in ranks, and the check of what it returns."""

import os
import sys
from collections.abc import Callable
from typing import Any

from convarium import lookup
from convarium.errors import StageFailed, UserError
from convarium.host import provenance
from convarium.planning.host_check import check_accelerator
from convarium.planning.plan import Node
from convarium.stages.declaration import makes_network
from convarium.store.result_folder import ResultFolder
from convarium.store.signature import canonical_json
from convarium.workers.ranks import run_stage_in_ranks
from convarium.workers.runtime import Parent, Runtime


def call_stage(
    node: Node, config: Any, parents: tuple[Parent, ...], runtime: Runtime, files: ResultFolder
) -> dict[str, Any]:
    """Return a stage's `result`, the `device` it ran on and its `peak_memory_bytes` (of the first rank).

    Args:
        config: the node's, as the stage takes it.

    Raises:
        StageFailed: a rank fell, or what the stage returns can't be stored; also whatever the stage raises.
    """
    if makes_network(node.stage):
        check_accelerator(runtime.accelerator)
    if count_ranks(node) > 1:
        made = run_stage_in_ranks(node, parents, runtime, count_ranks(node), files)
    else:
        result = load_stage(node.stage, runtime.threads)(config, parents, runtime)
        device, memory = provenance.read_device_name(), provenance.measure_peak_memory_bytes()
        made = {"result": result, "device": device, "peak_memory_bytes": memory}
    _check_stage_result(made["result"])
    return made


def count_ranks(node: Node) -> int:
    """Return how many devices share a node's training; what trains nothing takes one."""
    return int(node.runtime.get("devices", 1)) if node.work > 0 else 1


def load_stage(stage: str, threads: int) -> Callable[..., Any]:
    """Return the function of a stage; it and what it starts use so many threads."""
    function: Callable[..., Any] = lookup.find_by_name("stages", stage)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    return function


def _check_stage_result(result: Any) -> None:
    if not isinstance(result, dict) or "metrics" not in result:
        raise StageFailed("a stage returns a dict with 'metrics'")
    try:
        canonical_json(result)
    except UserError as error:
        raise StageFailed(f"the result can't be stored: {error}", error.cause) from None
