"""The settings of `hydra/launcher=slurm`: those of hydra-submitit-launcher, so that a profile can be carried over."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from convarium.config.messages import suggest_nearest
from convarium.errors import UserError
from convarium.store import disk

PREFIX = "hydra.launcher"
SETTINGS_FILE = "launcher.json"  # in the run's folder, for workers that submit more
IGNORED_KEYS = frozenset({"name", "submitit_folder", "max_num_timeout", "stderr_to_stdout"})  # of how submitit works
SINGLE_KEYS = ("nodes", "tasks_per_node")  # a worker is one task on one node


@dataclass(frozen=True)
class SlurmSettings:
    """What a job of Slurm is asked for with; None leaves it to Slurm.

    Attributes:
        timeout_min: the time limit, in minutes.
        mem_gb: of each worker, in GB.
        array_parallelism: how many tasks of an array run at once at most.
        signal_delay_s: how long before the time limit a worker is told to leave, in seconds.
        setup: lines of the job's script before its worker is started.
        srun_args: further arguments of srun.
        additional_parameters: further options of sbatch by their names; true stands for one without a value.
        squeue_seconds: for which the queue is not looked at again.
    """

    timeout_min: int = 60
    cpus_per_task: int = 1
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    gres: str | None = None
    gpus_per_node: int | str | None = None
    gpus_per_task: int | str | None = None
    cpus_per_gpu: int | None = None
    mem_gb: float | None = None
    mem_per_cpu: str | None = None
    mem_per_gpu: str | None = None
    constraint: str | None = None
    exclude: str | None = None
    nodelist: str | None = None
    comment: str | None = None
    array_parallelism: int = 256
    signal_delay_s: int = 120
    setup: Sequence[str] | None = None
    srun_args: Sequence[str] | None = None
    additional_parameters: Mapping[str, Any] = field(default_factory=dict)
    squeue_seconds: float = 15.0


def parse_slurm_settings(values: Mapping[str, Any]) -> SlurmSettings:
    """Check what stands under `hydra.launcher`.

    Raises:
        UserError: a key is unknown or asks for more than a worker can use, or the notice is not within the time limit.
    """
    known = {each.name for each in fields(SlurmSettings)}
    for key in values.keys() - known - IGNORED_KEYS - set(SINGLE_KEYS):
        raise UserError(f"{PREFIX}.{key}: no such setting{suggest_nearest(key, sorted(known))}")
    for key in SINGLE_KEYS:
        if values.get(key) not in (None, 1):
            raise UserError(f"{PREFIX}.{key}={values[key]}: a worker is one task on one node; leave it at 1")
    settings = SlurmSettings(**{key: value for key, value in values.items() if key in known})
    for key in ("timeout_min", "cpus_per_task", "array_parallelism", "signal_delay_s"):
        value = getattr(settings, key)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"{PREFIX}.{key}={value}: expected a whole number from 1")
    if settings.signal_delay_s >= 60 * settings.timeout_min:
        raise UserError(
            f"{PREFIX}.signal_delay_s={settings.signal_delay_s}: workers are told to leave that many seconds before the"
            f" time limit, which is {settings.timeout_min} min; give a smaller notice or a larger {PREFIX}.timeout_min"
        )
    return settings


def write_slurm_settings(settings: SlurmSettings, run_folder: Path) -> None:
    """Write the settings into the folder of their run.

    Raises:
        OSError: the disk refuses.
    """
    disk.write_json(run_folder / SETTINGS_FILE, asdict(settings))


def read_slurm_settings(run_folder: Path) -> dict[str, Any]:
    """Return the settings that the jobs of a run were submitted with.

    Raises:
        UserError: they are not there, or damaged.
    """
    settings = disk.read_json_object(run_folder / SETTINGS_FILE, {})
    if settings is None:
        raise UserError(f"{run_folder / SETTINGS_FILE} is not there: no job of this run was submitted yet")
    return settings
