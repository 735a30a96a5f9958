"""How a Slurm job ended, as its state and its log tell."""

import re
from collections.abc import Mapping
from pathlib import Path

from convarium.errors import Cause
from convarium.workers.death import Death
from convarium.workers.slurm_script import find_job_log

CAUSES_OF_STATES: Mapping[str, Cause] = {
    "OUT_OF_MEMORY": "out of memory",
    "TIMEOUT": "time limit",
    "DEADLINE": "time limit",
    "NODE_FAIL": "lost node",
    "BOOT_FAIL": "lost node",
}
ADVICE: Mapping[Cause, str] = {
    "out of memory": ": raise hydra.launcher.mem_gb",
    "time limit": ": raise hydra.launcher.timeout_min",
}
# The worker is a step of its job: where only the step ran out of memory, the job's state is often FAILED.
MEMORY_LINE = re.compile(
    r"^(slurmstepd|srun)\b.*(oom[-_]kill|out of memory|exceeded (job |step )?memory limit)",
    re.IGNORECASE | re.MULTILINE,
)
MAX_LOG_BYTES = 1 << 16


def explain_job_end(run_folder: Path, job_id: str, state: str | None, host: str) -> Death:
    """Return how the worker of a job ended that is over.

    Args:
        run_folder: in which the job's log lies.
        state: Slurm's word; None where it does not know the job any more.
        host: the worker's.
    """
    cause: Cause = CAUSES_OF_STATES.get(state or "", "killed")
    if cause == "killed" and MEMORY_LINE.search(_read_log_end(find_job_log(run_folder, job_id))):
        cause = "out of memory"
    what = "its job is not in Slurm's queue any more" if state is None else f"Slurm ended its job as {state}"
    if cause == "out of memory":
        what += ", out of memory"
    return Death(cause, f"{what}{ADVICE.get(cause, '')}", host)


def _read_log_end(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(max(0, file.stat().st_size - MAX_LOG_BYTES))
            return stream.read().decode(errors="replace")
    except OSError:
        return ""
