"""Ranks of a test: forked processes that meet, call the same function and leave what it returns."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from convarium.tasks.ranks import Ranks, join_ranks


def call_in_ranks(count: int, function: Callable[[Ranks], Any], folder: Path) -> list[Any]:
    """Return what `function` returned in each rank; what it raised, as its text."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [
        multiprocessing.get_context("fork").Process(target=_be_rank, args=(rank, count, port, function, folder))
        for rank in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [torch.load(folder / f"rank-{rank}.pt", weights_only=False) for rank in range(count)]


def _be_rank(rank: int, count: int, port: int, function: Callable[[Ranks], Any], folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    try:
        answer = function(join_ranks(rank, count, has_gpus=False))
    except Exception as error:
        answer = str(error)
    torch.save(answer, folder / f"rank-{rank}.pt")
    os._exit(0)  # the clean-up is the test's process's own
