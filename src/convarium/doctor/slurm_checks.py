"""Checks of Slurm from a host that submits: what it would take, and how many at once."""

import getpass
import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from convarium.doctor.finding import Finding, make_check
from convarium.doctor.host_checks import PRIVATE_FOLDER_HINT
from convarium.errors import UserError
from convarium.noun_count import format_noun_count
from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command
from convarium.workers.slurm_settings import SlurmSettings

CONTAINER_KEYS = ("JobContainerType", "NamespaceType")  # of Slurm's own private /tmp; the second since 25.11
LIMIT_FIELDS = ("MaxJobs", "MaxSubmitJobs")
QOS_LIMIT_FIELDS = ("MaxJobsPerUser", "MaxSubmitJobsPerUser")


def check_slurm(settings: SlurmSettings, script: Path, workers: int | None) -> list[Finding]:
    """Ask Slurm what it makes of a profile, without queueing anything.

    Args:
        script: of a job of the profile.
        workers: how many are asked for, where that is said.
    """
    return [
        make_check("profile", partial(_check_profile, script)),
        make_check("arrays", partial(_check_arrays, workers)),
        make_check("limits of jobs", partial(_check_limits, settings, workers)),
    ]


def check_job_folders() -> Finding:
    """Ask Slurm whether it gives each job a /tmp of its own."""
    return make_check("/tmp of jobs", _check_job_folders)


def read_slurm_config() -> dict[str, str]:
    """Return Slurm's configuration.

    Raises:
        SlurmRefusal: it does not answer.
    """
    text = run_slurm_command("scontrol", "show", "config")
    return dict(re.findall(r"^(\S+)\s*=\s*(.*?)\s*$", text, re.MULTILINE))


def _check_profile(script: Path) -> str:
    try:
        run_slurm_command("sbatch", "--test-only", str(script))
    except SlurmRefusal as error:
        if not error.is_limit:
            raise
        return f"Slurm takes no more jobs now ({error}); a run tries again every minute"
    return "Slurm would take such jobs"


def _check_arrays(workers: int | None) -> str:
    size = int(read_slurm_config().get("MaxArraySize", "1"))
    if size < 1:
        raise UserError(
            "Slurm has job arrays switched off, which workers are submitted as: set MaxArraySize in slurm.conf"
        )
    text = f"an array may have {format_noun_count(size, 'job')}"
    if workers is None or workers <= size:
        return text
    return f"{text}; {format_noun_count(workers, 'worker')} would be {-(-workers // size)} arrays"


def _check_limits(settings: SlurmSettings, workers: int | None) -> str:
    try:
        limits = list(_read_limits(settings))
    except SlurmRefusal as error:
        return f"unknown here ({error})"
    if not limits:
        return "there is none"
    least = min(limits)
    text = f"{least} at once is the least of them"
    if least < 1:
        raise UserError(f"{text}: ask who runs the cluster for an account or QOS that may have jobs")
    if workers is None or workers <= least:
        return text
    return f"{text}; of {workers} workers the others are submitted as jobs end"


def _read_limits(settings: SlurmSettings) -> Iterable[int]:
    """Yield the limits on the jobs of this user, under the account and QOS of a profile."""
    associations = _read_accounting(
        "associations", f"where user={getpass.getuser()}", ("Account", "DefaultQOS", *LIMIT_FIELDS)
    )
    chosen = [row for row in associations if settings.account in (None, row["Account"])]
    yield from _parse_limits(chosen, LIMIT_FIELDS)
    names = {settings.qos} if settings.qos else {row["DefaultQOS"] for row in chosen}
    qualities = _read_accounting("qos", "", ("Name", *QOS_LIMIT_FIELDS))
    yield from _parse_limits([row for row in qualities if row["Name"] in names], QOS_LIMIT_FIELDS)


def _read_accounting(kind: str, condition: str, fields: tuple[str, ...]) -> list[dict[str, str]]:
    command = ["sacctmgr", "--noheader", "--parsable2", "show", kind, *condition.split(), f"format={','.join(fields)}"]
    lines = run_slurm_command(*command).splitlines()
    return [dict(zip(fields, line.split("|"), strict=False)) for line in lines]


def _parse_limits(rows: Iterable[Mapping[str, str]], fields: tuple[str, ...]) -> Iterable[int]:
    return [int(row[field]) for row in rows for field in fields if row.get(field, "").isdecimal()]


def _check_job_folders() -> str:
    config = read_slurm_config()
    kinds = [config[key] for key in CONTAINER_KEYS if "tmpfs" in config.get(key, "") or "linux" in config.get(key, "")]
    if kinds:
        raise UserError(f"Slurm gives each job one of its own ({kinds[0]}): {PRIVATE_FOLDER_HINT}")
    return "Slurm gives jobs none of their own"
