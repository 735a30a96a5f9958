"""Latency of a forward pass: two networks race each other in one process, taking turns.

Timings on a busy machine are not to be trusted: those of two processes may differ by half, a single one by more. So
dense and compressed are timed in turns, in several fresh processes, and the range is reported; where the dense
network's own time varies too much nothing is claimed. MACs do not predict time, which is why it is measured at all.
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
Clock = Callable[[ForwardPass, int], float]  # from a pass and how often it runs to its mean seconds
TURN_COUNT = 60
MIN_TURN_SECONDS = 0.01
MAX_TURN_SPREAD = 2.0  # p90 / p10 of the dense network's turns in a process
# Largest over smallest ratio of the processes; on a quiet machine 1.10 was the most in 70 races.
MAX_RATIO_SPREAD = 1.15
MAX_SELF_RATIO_ERROR = 0.05  # how far from 1 the ratio of a network to itself may be


def race_models(model: str, dense_model: str, file: str, measurement: Mapping[str, Any]) -> Json:
    """Time two models of one executor in turns, in this process; to be called in a fresh one.

    Args:
        file: the network's `.cvm` file, which says what images it takes.
        measurement: executor, batch (images a pass), threads; device, where that is not the CPU.

    Returns:
        `latency_ms` and `dense_ms` (median time of one pass), `speedup` (median over turns of dense / compressed, above
        1 is faster), `spread` (p90 / p10 of the dense network's turns) and `peak_memory_bytes` (None: not measured).
    """
    executor, threads, device = measurement["executor"], measurement["threads"], measurement.get("device", "cpu")
    network = executor_models.load_model(executor, Path(model), threads, device)
    dense = executor_models.load_model(executor, Path(dense_model), threads, device)
    shape = executor_models.read_input_shape(Path(file))
    images = executor_models.make_noise_images(shape, measurement["batch"])
    forward, dense_forward = network.make_forward_pass(images), dense.make_forward_pass(images)
    times, dense_times = _time_in_turns(forward, dense_forward, select_clock(device))
    return {
        "latency_ms": 1e3 * median(times),
        "dense_ms": 1e3 * median(dense_times),
        "speedup": _compute_median_ratio(dense_times, times),
        "spread": float(np.quantile(dense_times, 0.9) / np.quantile(dense_times, 0.1)),
        "peak_memory_bytes": network.measure_peak_bytes(images),
    }


def measure_time_share(file: Path, dense_file: Path, shape: Sequence[int], measurement: Mapping[str, Any]) -> float:
    """Return the time of a pass of a `.cvm` file's network over that of the dense one, in turns in this process.

    8-bit activations are calibrated on noise: no time depends on the values.
    """
    images = executor_models.make_noise_images(shape, measurement["batch"])
    calibration = executor_models.make_noise_images(shape, 8)
    executor, threads, device = measurement["executor"], measurement["threads"], measurement.get("device", "cpu")
    with TemporaryDirectory() as folder:
        passes = []
        for name, network_file in (("network", file), ("dense", dense_file)):
            model_folder = Path(folder) / name
            model_folder.mkdir()
            model_file = executor_models.prepare_model(executor, network_file, calibration, model_folder)
            model = executor_models.load_model(executor, model_file, threads, device)
            passes.append(model.make_forward_pass(images))
        times, dense_times = _time_in_turns(passes[0], passes[1], select_clock(device))
    return _compute_median_ratio(times, dense_times)


def _compute_median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median over turns of the ratio of two times."""
    return median(above / below for above, below in zip(numerators, denominators, strict=True))


def summarise_races(races: Sequence[Json], is_self_race: bool = False) -> Json:
    """Summarise the races of several processes: medians, and the range of the processes' medians (ms).

    They are void where the machine was too busy: the dense network's own time varied too much within a process, the
    speed-up varied too much between processes, or in a race of a network with itself the speed-up is not 1.
    """
    latencies = [race["latency_ms"] for race in races]
    speedups = [race["speedup"] for race in races]
    peaks = [race["peak_memory_bytes"] for race in races if race["peak_memory_bytes"] is not None]
    is_busy = any(race["spread"] > MAX_TURN_SPREAD for race in races)
    is_inconsistent = max(speedups) > MAX_RATIO_SPREAD * min(speedups)
    is_biased = is_self_race and abs(median(speedups) - 1) > MAX_SELF_RATIO_ERROR
    return {
        "metrics": {
            "latency_ms": median(latencies),
            "speedup": median(speedups),
            "peak_memory_bytes": max(peaks, default=None),
        },
        "void": is_busy or is_inconsistent or is_biased,
        "range": [min(latencies), max(latencies)],
        "speedup_range": [min(speedups), max(speedups)],
        "races": list(races),
    }


def select_clock(device: str) -> Clock:
    """Return the clock of a device: the host's for the CPU, for a GPU events in its own queue."""
    return _time_passes if device == "cpu" else _time_passes_by_events


def _time_in_turns(forward: ForwardPass, dense_forward: ForwardPass, clock: Clock) -> tuple[list[float], list[float]]:
    """Time both TURN_COUNT times in turns; each turn is as many passes as fill MIN_TURN_SECONDS."""
    pass_count = _count_passes_per_turn(forward, clock)
    dense_pass_count = _count_passes_per_turn(dense_forward, clock)
    times, dense_times = [], []
    for turn in range(TURN_COUNT):
        # Each goes first as often as the other, so that what a turn leaves behind favours neither.
        if turn % 2:
            times.append(clock(forward, pass_count))
            dense_times.append(clock(dense_forward, dense_pass_count))
        else:
            dense_times.append(clock(dense_forward, dense_pass_count))
            times.append(clock(forward, pass_count))
    return times, dense_times


def _count_passes_per_turn(forward: ForwardPass, clock: Clock) -> int:
    for _ in range(5):  # `compiled` compiles in its first pass, which must not be timed
        forward()
    return max(1, round(MIN_TURN_SECONDS / clock(forward, 5)))


def _time_passes_by_events(forward: ForwardPass, pass_count: int) -> float:
    # A forward pass only queues its kernels: the host's clock would time the queueing.
    cuda: Any = torch.cuda
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    for _ in range(pass_count):
        forward()
    end.record()
    end.synchronize()
    milliseconds = float(start.elapsed_time(end))
    return milliseconds / 1e3 / pass_count


def _time_passes(forward: ForwardPass, pass_count: int) -> float:
    start = perf_counter()
    for _ in range(pass_count):
        forward()
    return (perf_counter() - start) / pass_count
