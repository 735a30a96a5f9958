"""How long a forward pass takes: one network against another in one process, taking turns.

The clock of a busy machine lies: two processes may differ by half, and any single figure by more. So dense and
compressed are timed in turns, in several fresh processes, and the range is told; where the dense network's own time
varies too much nothing is claimed. MACs do not predict time, which is why it is measured at all.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch

from convarium.measurement import executor_models

Json = dict[str, Any]
ForwardPass = Callable[[], Any]
Clock = Callable[[ForwardPass, int], float]  # seconds of a pass, mean over so many
TURN_COUNT = 60
MIN_TURN_SECONDS = 0.01
MAX_TURN_SPREAD = 2.0  # p90 / p10 of the dense network's turns in a process
MAX_RATIO_SPREAD = (
    1.15  # largest over smallest ratio of the processes; on a quiet machine 1.10 was the most in 70 races
)
MAX_SELF_RATIO_ERROR = 0.05  # how far from 1 the ratio of a network to itself may be


def race_models(model: str, dense_model: str, file: str, measurement: Mapping[str, Any]) -> Json:
    """Time two models of one executor in turns, in this process; to be called in a fresh one.

    Args:
        file: the network's own, which says what images it takes.
        measurement: executor, batch (images a pass), threads; device, where that is not the CPU.

    Returns:
        `latency_ms` and `dense_ms` (median time of one pass), `ratio` (median over turns of dense / compressed, above 1
        is faster), `spread` (p90 / p10 of the dense network's turns) and `peak_memory_bytes` (None: not measured).
    """
    executor, threads, device = measurement["executor"], measurement["threads"], measurement.get("device", "cpu")
    own, dense = (executor_models.load_model(executor, Path(each), threads, device) for each in (model, dense_model))
    images = executor_models.make_noise_images(executor_models.read_input_shape(Path(file)), measurement["batch"])
    times, dense_times = _time_in_turns(
        own.make_forward_pass(images), dense.make_forward_pass(images), select_clock(device)
    )
    return {
        "latency_ms": 1e3 * median(times),
        "dense_ms": 1e3 * median(dense_times),
        "speedup": median(dense / own for own, dense in zip(times, dense_times, strict=True)),
        "spread": float(np.quantile(dense_times, 0.9) / np.quantile(dense_times, 0.1)),
        "peak_memory_bytes": own.measure_peak_bytes(images),
    }


def measure_time_share(file: Path, dense_file: Path, shape: Sequence[int], measurement: Mapping[str, Any]) -> float:
    """Return the time of a pass of a `.cvm` file's network over that of the dense one, in turns in this process.

    Activations of 8 bits are calibrated by noise: no time depends on the values.
    """
    images, noise = (
        executor_models.make_noise_images(shape, measurement["batch"]),
        executor_models.make_noise_images(shape, 8),
    )
    executor, threads, device = measurement["executor"], measurement["threads"], measurement.get("device", "cpu")
    with TemporaryDirectory() as folder:
        calls = []
        for place, each in enumerate((file, dense_file)):
            (Path(folder) / str(place)).mkdir()
            model = executor_models.prepare_model(executor, each, noise, Path(folder) / str(place))
            calls.append(executor_models.load_model(executor, model, threads, device).make_forward_pass(images))
        times, dense_times = _time_in_turns(calls[0], calls[1], select_clock(device))
    return median(own / other for own, other in zip(times, dense_times, strict=True))


def summarise_races(races: Sequence[Json], is_self_race: bool = False) -> Json:
    """Sum up the races of several processes: medians, and the range of the processes' medians (ms).

    They are void where the machine was too busy to tell: the dense network's own time varied too much within a process,
    the ratio between processes, or the ratio of a network to `is_self_race` is not 1.
    """
    latencies, ratios = ([race[key] for race in races] for key in ("latency_ms", "speedup"))
    peaks = [race["peak_memory_bytes"] for race in races if race["peak_memory_bytes"] is not None]
    return {
        "metrics": {
            "latency_ms": median(latencies),
            "speedup": median(ratios),
            "peak_memory_bytes": max(peaks, default=None),
        },
        "void": any(race["spread"] > MAX_TURN_SPREAD for race in races)
        or max(ratios) > MAX_RATIO_SPREAD * min(ratios)
        or (is_self_race and abs(median(ratios) - 1) > MAX_SELF_RATIO_ERROR),
        "range": [min(latencies), max(latencies)],
        "speedup_range": [min(ratios), max(ratios)],
        "races": list(races),
    }


def select_clock(device: str) -> Clock:
    """Return what times passes: the host's clock, or on a GPU events in its own queue."""
    return _time_passes if device == "cpu" else _time_passes_by_events


def _time_in_turns(call: ForwardPass, other: ForwardPass, time: Clock) -> tuple[list[float], list[float]]:
    """Time both TURN_COUNT times in turns; each turn is as many passes as fill MIN_TURN_SECONDS."""
    passes, other_passes = _count_passes_per_turn(call, time), _count_passes_per_turn(other, time)
    times, other_times = [], []
    for turn in range(TURN_COUNT):
        if turn % 2:
            times.append(time(call, passes))
            other_times.append(time(other, other_passes))
        else:
            other_times.append(time(other, other_passes))
            times.append(time(call, passes))
    return times, other_times


def _count_passes_per_turn(call: ForwardPass, time: Clock) -> int:
    for _ in range(5):
        call()
    return max(1, round(MIN_TURN_SECONDS / time(call, 5)))


def _time_passes_by_events(call: ForwardPass, passes: int) -> float:
    events: Any = torch.cuda
    start, end = (events.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(passes):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / passes


def _time_passes(call: ForwardPass, passes: int) -> float:
    start = perf_counter()
    for _ in range(passes):
        call()
    return (perf_counter() - start) / passes
