"""How a worker ended that did not give its lease back, as far as it can be known."""

import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from convarium.errors import Cause, ProcessKilled
from convarium.host.memory_kills import MemoryKills, has_killed_since, read_memory_kills
from convarium.workers.slurm_job import parse_job

MEMORY_KILLS_KEY = "memory_kills"  # among the details of a lease


@dataclass(frozen=True)
class Death:
    """The end of a lease's owner.

    Attributes:
        line: how it ended, as the end of a sentence.
        host: its host; "" where nobody knows.
        job: id of its Slurm job, where Slurm may know more; "" where it had none, or Slurm was asked.
    """

    cause: Cause = "killed"
    line: str = "its process was gone, and nobody saw why"
    host: str = ""
    job: str = ""


UNSEEN_DEATH = Death()


def build_memory_details() -> dict[str, Any]:
    """Return what a lease says so that others can tell whether the kernel killed its owner for want of memory."""
    kills = read_memory_kills()
    return {} if kills is None else {MEMORY_KILLS_KEY: asdict(kills)}


def explain_gone_process(host: str, details: Mapping[str, Any], exit_code: int | None = None) -> Death:
    """Return how a process of this host ended.

    Args:
        details: of its lease.
        exit_code: of the process, as its parent got it: the negative of a signal; None where that is not known.
    """
    job_id = _find_job_id(details)
    if exit_code in (None, -signal.SIGKILL) and has_killed_since(_parse_memory_kills(details)):
        line = "out of memory, killed by the kernel: take fewer workers at a time, or a host with more memory"
        return Death("out of memory", line, host)
    if exit_code is None:
        return Death(host=host, job=job_id)
    if exit_code >= 0:
        return Death("error", f"its process ended with exit code {exit_code}", host, job_id)
    return Death("killed", _describe_kill(-exit_code), host, job_id)


def explain_silence(host: str, details: Mapping[str, Any], seconds: float) -> Death:
    """Return how a worker of another host ended, which can't be seen from here.

    Args:
        details: of its lease.
        seconds: for which nothing was heard of it.
    """
    line = f"nothing was heard of it for {seconds:.0f} s, as when its host is gone"
    return Death("lost node", line, host, _find_job_id(details))


def build_kill_error(process: str, signal_number: int, has_memory_kill: bool) -> ProcessKilled:
    """Return the error of a stage of which a process was killed.

    Args:
        process: its name, with which the error's line begins.
        has_memory_kill: whether the kernel has killed some process for want of memory meanwhile.
    """
    if signal_number == signal.SIGKILL and has_memory_kill:
        return ProcessKilled(f"{process} was killed by the kernel: out of memory", "out of memory")
    return ProcessKilled(f"{process} was {_describe_kill(signal_number)}", "killed")


def parse_death(content: Any) -> Death:
    """Return the death that a lease's file tells of; one that nobody saw where it is damaged."""
    try:
        return Death(**content)
    except TypeError:
        return UNSEEN_DEATH


def _find_job_id(details: Mapping[str, Any]) -> str:
    job = parse_job(details)
    return "" if job is None else job.id


def _parse_memory_kills(details: Mapping[str, Any]) -> MemoryKills | None:
    try:
        return MemoryKills(**details[MEMORY_KILLS_KEY])
    except (KeyError, TypeError):
        return None


def _describe_kill(signal_number: int) -> str:
    if signal_number == signal.SIGKILL:
        return "killed by SIGKILL, by a person or by the kernel for want of memory"
    try:
        return f"killed by {signal.Signals(signal_number).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {signal_number}"
