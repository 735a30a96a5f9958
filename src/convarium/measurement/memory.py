"""Peak memory of a forward pass."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile


def measure_cpu_peak_bytes(network: nn.Module, forward: Callable[[], Any]) -> int:
    """Return bytes of weights and buffers, plus the most that torch's allocator held at once during `forward`.

    Counted from every allocation and release that the profiler records, so it is exact and repeatable: activations and
    scratch tensors are in it; code, Python, and what a kernel takes from elsewhere are not. The growth of the process
    (ru_maxrss) would hold those too, but varies by a few megabytes at random, more than a small network takes.
    """
    forward()  # `compiled` compiles in its first pass
    with _silence_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        forward()
    # The profiler's public averages have sums by operator, not the single allocations in their order.
    profiler: Any = profiled.profiler
    events = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    held_bytes = peak_bytes = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held_bytes += event.nbytes()
        peak_bytes = max(peak_bytes, held_bytes)
    return peak_bytes + count_state_bytes(network)


def measure_gpu_peak_bytes(network: nn.Module, forward: Callable[[], Any]) -> int:
    """Return the same on a GPU, from the statistics of torch's caching allocator."""
    forward()
    torch.cuda.synchronize()
    initial_bytes = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    forward()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - initial_bytes + count_state_bytes(network)


def count_state_bytes(network: nn.Module) -> int:
    """Return bytes of weights and buffers."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """Discard what is written to stderr."""
    # The profiler's C++ part writes to the file descriptor, which no replacement of sys.stderr would stop.
    stderr_copy = os.dup(2)
    with Path(os.devnull).open("wb") as null_file:
        os.dup2(null_file.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr_copy, 2)
        os.close(stderr_copy)
