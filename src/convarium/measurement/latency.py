"""How long a forward pass takes: one network against another in one process, taking turns.

The clock of a busy machine lies: two processes may differ by half, and any single figure by more. So dense and
compressed are timed in turns, in several fresh processes, and the range is told; where the dense network's own time
varies too much nothing is claimed. MACs do not predict time, which is why it is measured at all.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from convarium.compression.file import container
from convarium.measurement.memory import peak_bytes
from convarium.names import find

Json = dict[str, Any]
TURNS = 60
TURN_SECONDS = 0.01
SPREAD = 2.0


def race(path: str, dense_path: str, measurement: Mapping[str, Any]) -> Json:
    """Time the networks of two files in turns, in this process; to be called in a fresh one.

    Args:
        measurement: executor, batch (images a pass), threads.

    Returns:
        `latency_ms` and `dense_ms` (median time of one pass), `ratio` (median over turns of dense / compressed, above 1
        is faster), `spread` (p90 / p10 of the dense network's turns) and `peak_memory_bytes`.
    """
    torch.set_num_threads(measurement["threads"])
    network, call = _prepared(path, measurement)
    _, dense_call = _prepared(dense_path, measurement)
    times, dense_times = _turns(call, dense_call)
    return {
        "latency_ms": 1e3 * median(times),
        "dense_ms": 1e3 * median(dense_times),
        "ratio": median(dense / own for own, dense in zip(times, dense_times, strict=True)),
        "spread": float(np.quantile(dense_times, 0.9) / np.quantile(dense_times, 0.1)),
        "peak_memory_bytes": peak_bytes(network, call),
    }


def share_of(network: nn.Module, dense: nn.Module, shape: Sequence[int], measurement: Mapping[str, Any]) -> float:
    """Return the time of a pass of `network` over that of `dense`, in turns in this process; images of `shape`."""
    images = _images(shape, measurement)
    executor = find("measurement.executors", measurement["executor"])
    times, dense_times = _turns(executor(network.eval(), images), executor(dense.eval(), images))
    return median(own / other for own, other in zip(times, dense_times, strict=True))


def summary(races: Sequence[Json]) -> Json:
    """Sum up the races of several processes: medians, and the range of the processes' medians (ms).

    They are void where the dense network's p90 / p10 exceeds 2 in any process.
    """
    latencies, ratios = ([race[key] for race in races] for key in ("latency_ms", "ratio"))
    return {
        "metrics": {
            "latency_ms": median(latencies),
            "latency_ratio": median(ratios),
            "peak_memory_bytes": max(race["peak_memory_bytes"] for race in races),
        },
        "void": any(race["spread"] > SPREAD for race in races),
        "range": [min(latencies), max(latencies)],
        "ratio_range": [min(ratios), max(ratios)],
        "races": list(races),
    }


def _prepared(path: str, measurement: Mapping[str, Any]) -> tuple[nn.Module, Callable[[], Any]]:
    file = container.read(Path(path))
    network = container.network(file)
    images = _images(file.header["input"]["shape"], measurement)
    return network, find("measurement.executors", measurement["executor"])(network, images)


def _images(shape: Sequence[int], measurement: Mapping[str, Any]) -> Tensor:
    return torch.randn(measurement["batch"], *shape, generator=torch.Generator().manual_seed(0))


def _turns(call: Callable[[], Any], other: Callable[[], Any]) -> tuple[list[float], list[float]]:
    """Time both TURNS times, now one first, now the other; each turn is as many passes as fill TURN_SECONDS."""
    passes, other_passes = _passes(call), _passes(other)
    times, other_times = [], []
    for turn in range(TURNS):
        if turn % 2:
            times.append(_time(call, passes))
            other_times.append(_time(other, other_passes))
        else:
            other_times.append(_time(other, other_passes))
            times.append(_time(call, passes))
    return times, other_times


def _passes(call: Callable[[], Any]) -> int:
    for _ in range(5):
        call()
    return max(1, round(TURN_SECONDS / _time(call, 5)))


def _time(call: Callable[[], Any], passes: int) -> float:
    start = perf_counter()
    for _ in range(passes):
        call()
    return (perf_counter() - start) / passes
