"""The ranks of a training: processes that each take a share of every batch, and end in the same network.

Each holds the whole network. Sums over ranks are taken in one order whatever happened before, so that a fit that is
resumed by as many ranks ends in the same bits; a wrapper that sorts gradients into buckets as they come does not.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from convarium.config.recipe import SMALLEST_PART
from convarium.errors import StageFailed

PROMPT_TIMEOUT = timedelta(seconds=60)  # for what takes each rank equally long
WAITING_TIMEOUT = timedelta(days=365)  # for what the first rank does alone: a checkpoint, validation, a decider

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that share its training.

    Attributes:
        rank: its number.
        count: how many there are.
        gpu: which GPU of the process it computes on; None: no GPU of its own.
        prompt_group: for values on the CPU; who is late is lost.
        waiting_group: likewise, without a limit.
    """

    rank: int = 0
    count: int = 1
    gpu: int | None = None
    prompt_group: Any = None
    waiting_group: Any = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes what all have in common."""
        return self.rank == 0

    def can_share(self, parts: Iterable[slice]) -> bool:
        """Whether each rank can have so many images of each part of a batch that they have statistics."""
        return self.count > 1 and all(part.stop - part.start >= SMALLEST_PART * self.count for part in parts)

    def select_share(self, part: slice) -> slice:
        """Return this rank's share of a part of a batch."""
        size = part.stop - part.start
        start, stop = (part.start + size * rank // self.count for rank in (self.rank, self.rank + 1))
        return slice(start, stop)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give each parameter the sum of its gradients over ranks."""
        if self.count == 1:
            return
        by_type: dict[torch.dtype, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is not None:
                by_type.setdefault(parameter.grad.dtype, []).append(parameter.grad)
        for gradients in by_type.values():
            total = torch.cat([gradient.reshape(-1) for gradient in gradients])
            distributed.all_reduce(total)
            sizes = [gradient.numel() for gradient in gradients]
            for gradient, values in zip(gradients, torch.split(total, sizes), strict=True):
                gradient.copy_(values.view_as(gradient))

    def sum_value(self, value: float) -> float:
        """Return the sum of a number over ranks."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        distributed.all_reduce(total, group=self.prompt_group)
        return float(total)

    def agree(self, value: T) -> T:
        """Return the first rank's value."""
        return value if self.count == 1 else _broadcast(value, self.prompt_group)

    def compute_in_first(self, compute: Callable[[], T]) -> T:
        """Return what the first rank computes, while the others wait."""
        if self.count == 1:
            return compute()
        value: Any = compute() if self.is_first else None
        shared: T = _broadcast(value, self.waiting_group)
        return shared

    def check_equal(self, what: str, digest: str) -> None:
        """Check that all ranks hold the same, and wait until each has come so far.

        Raises:
            StageFailed: one holds another.
        """
        if self.count == 1:
            return
        digests: list[Any] = [None] * self.count
        distributed.all_gather_object(digests, digest, group=self.waiting_group)
        for rank, other in enumerate(digests):
            if other != digests[0]:
                raise StageFailed(f"rank {rank} has another {what} than rank 0")


SINGLE = Ranks()


def join_ranks(rank: int, count: int, has_gpus: bool) -> Ranks:
    """Meet the other ranks where the environment says (`torch.distributed.run` sets it)."""
    backend = "nccl" if has_gpus else "gloo"
    if has_gpus:
        torch.cuda.set_device(rank)
    distributed.init_process_group(backend, rank=rank, world_size=count, timeout=PROMPT_TIMEOUT)
    prompt_group = distributed.new_group(timeout=PROMPT_TIMEOUT, backend="gloo")
    waiting_group = distributed.new_group(timeout=WAITING_TIMEOUT, backend="gloo")
    return Ranks(rank, count, rank if has_gpus else None, prompt_group, waiting_group)


def compute_digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of a text and of tensors by their names."""
    digest = sha256(text.encode())
    for name, tensor in tensors.items():
        values = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(name.encode() + b"\0" + values.numpy().tobytes())
    return digest.hexdigest()


def _broadcast(value: T, group: Any) -> T:
    values: list[Any] = [value]
    distributed.broadcast_object_list(values, src=0, group=group)
    shared: T = values[0]
    return shared
