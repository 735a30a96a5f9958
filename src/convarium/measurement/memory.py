"""Peak memory of a forward pass."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile


def measure_cpu_peak_bytes(network: nn.Module, call: Callable[[], Any]) -> int:
    """Return bytes of weights and buffers, plus the most that torch's allocator held at once during `call`.

    Counted from every allocation and release that the profiler records, so it is exact and repeatable: activations and
    scratch tensors are in it; code, Python, and what a kernel takes from elsewhere are not. The growth of the process
    (ru_maxrss) would hold those too, but is a few megabytes of chance, more than a small network takes.
    """
    call()
    with _silence_stderr(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    kineto: Any = recorded.profiler
    events = [event for event in kineto.kineto_results.events() if event.name() == "[memory]"]
    held = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        highest = max(highest, held)
    return highest + count_state_bytes(network)


def measure_gpu_peak_bytes(network: nn.Module, call: Callable[[], Any]) -> int:
    """Return the same on a GPU: by the statistics that torch's caching allocator keeps of it."""
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before + count_state_bytes(network)


def count_state_bytes(network: nn.Module) -> int:
    """Return bytes of weights and buffers."""
    return sum(t.numel() * t.element_size() for t in [*network.parameters(), *network.buffers()])


@contextmanager
def _silence_stderr() -> Iterator[None]:
    """The profiler's C++ part talks to the file descriptor of stderr."""
    kept = os.dup(2)
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
