"""Slurm's commands, and what they say when they refuse."""

import os
import re
import subprocess

from convarium.errors import UserError

COMMAND_TIMEOUT_SECONDS = 60.0
PREFIX_PATTERN = re.compile(r"^(s\w+: )?(error|fatal): ")
# What Slurm says where the same jobs would be taken later, or fewer of them now.
LIMIT_PATTERN = re.compile(r"SubmitJob|SubmitLimit|submit limit|MaxJobs|Job violates accounting", re.IGNORECASE)
# What Slurm sets in a job: it would be inherited by the jobs that the job's worker submits, which have their own.
JOB_VARIABLE_PREFIX = "SLURM_"
CONFIG_VARIABLE = "SLURM_CONF"
DEVICE_VARIABLES = frozenset(["CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ROCR_VISIBLE_DEVICES", "ZE_AFFINITY_MASK"])


class SlurmRefusal(UserError):
    """A command of Slurm's failed; the line is what it said."""

    @property
    def is_limit(self) -> bool:
        """Whether it is a limit of how many jobs may be queued."""
        return LIMIT_PATTERN.search(str(self)) is not None


def run_slurm_command(*command: str) -> str:
    """Run a command; return what it prints.

    Raises:
        SlurmRefusal: it is not installed here, fails, or does not answer.
    """
    try:
        done = subprocess.run(
            command,
            env=_select_submitter_environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        line = f"{command[0]} is not installed here: submit from a host that has Slurm's commands, such as a login node"
        raise SlurmRefusal(line) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmRefusal(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        raise SlurmRefusal(f"{command[0]}: {_join_lines(done.stderr) or f'exit code {done.returncode}'}")
    return done.stdout


def _select_submitter_environment() -> dict[str, str]:
    """Return the environment without what a job has of its own, where this process works in one."""
    if "SLURM_JOB_ID" not in os.environ:
        return dict(os.environ)
    return {
        key: text
        for key, text in os.environ.items()
        if key == CONFIG_VARIABLE or not (key.startswith(JOB_VARIABLE_PREFIX) or key in DEVICE_VARIABLES)
    }


def _join_lines(text: str) -> str:
    lines = [PREFIX_PATTERN.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))
