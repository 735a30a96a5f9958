"""Try a chain without training it, to solve a step's knob for a budget."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from convarium.architectures import library
from convarium.compression import budget, edits, host
from convarium.compression.file import container
from convarium.compression.schedule import Phase, phases
from convarium.compression.work import Bench, Work, choose, code
from convarium.errors import NotReachable

Json = Mapping[str, Any]
ROUGHLY = 0.03
HEADER = ("architecture", "task", "classes", "input")


def solved(work: Work, phase: Phase, bench: Bench) -> dict[str, Any]:
    """Return the step's knob, solved for its budget, as if all rounds were done at once on the weights of now.

    A round before the last solves it ROUGHLY only: the weights change until the last one.

    Raises:
        NotReachable: no value of the knob meets the budget.
    """
    step = bench.own["step"]
    order = step["budget"] if phase.progress == 1.0 else {**step["budget"], "close": ROUGHLY}

    def cost(value: Any) -> float:
        return _cost(_tried(work, {**step, order["knob"]: value}, phase, bench), order, bench)

    try:
        value = budget.solve(order, cost, budget.limit(order, bench.header))
    except NotReachable as error:
        raise NotReachable(f"budget.{order['quantity']}={order['value']:g} is {error}") from None
    return {order["knob"]: value}


def _tried(work: Work, step: Json, phase: Phase, bench: Bench) -> Work:
    """What the chain makes of a copy of `work` from `phase` on, without training."""
    copied = copy(work, bench)
    choose(copied, step, replace(phase, progress=1.0), bench)
    following = [one for one in phases(step)[phase.index + 1 :] if one.progress == 1.0]
    for own, todo in [(step, following), *((one, phases(one)) for one in bench.own["following"])]:
        for one in todo:
            if one.decider and one.decider != phase.decider and one.progress == 1.0:
                choose(copied, own, one, bench)
        code(copied, todo)
    return copied


def copy(work: Work, bench: Bench) -> Work:
    """The same network again, built anew: copies of parametrised modules share their class."""
    network = library.build(bench.header["architecture"])
    edits.apply(network, work.surgery)
    host.restore(network, host.structure(work.network))
    network.load_state_dict(work.network.state_dict())
    return replace(work, network=network, surgery=list(work.surgery), coders=dict(work.coders))


def _cost(work: Work, order: Json, bench: Bench) -> float:
    quantity = order["quantity"]
    if quantity == "bytes":
        header = {key: bench.header[key] for key in HEADER}
        return budget.file_bytes(work.network, work.surgery, header, work.coders)
    if quantity == "latency":
        return _latency(work, bench)
    return budget.structural(work.network, "parameters" if quantity == "sparsity" else quantity, bench.header)


def _latency(work: Work, bench: Bench) -> float:
    """Time of a pass as a share of the dense network's, in turns in this process."""
    from convarium.measurement.latency import share_of

    header = {key: bench.header[key] for key in HEADER}
    with TemporaryDirectory() as folder:
        file, dense = Path(folder) / "network.cvm", Path(folder) / "dense.cvm"
        container.write(file, work.network, {**header, "surgery": list(work.surgery)}, {})
        container.write(dense, library.build(header["architecture"]), {**header, "surgery": []}, {})
        return share_of(file, dense, header["input"]["shape"], bench.own["time"]["measurement"])
