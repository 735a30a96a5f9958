"""The script of a run's jobs, each of which is one worker; the array that they form is named when it is submitted."""

import shlex
import sys
from pathlib import Path
from typing import Any

from convarium.workers.leave_notice import END_VARIABLE, NOTICE_VARIABLE
from convarium.workers.run_file import Run
from convarium.workers.slurm_settings import SlurmSettings

SCRIPT_FILE = "job.sh"
LOG_PATTERN = "job.%A_%a.log"
# Keys that are called like the option of sbatch that they set.
OPTION_KEYS = (
    "partition", "account", "qos", "gres", "gpus_per_node", "gpus_per_task", "cpus_per_gpu", "mem_per_cpu",
    "mem_per_gpu", "constraint", "exclude", "nodelist", "comment", "cpus_per_task",
)  # fmt: skip


def write_job_script(run: Run, settings: SlurmSettings) -> Path:
    """Write the script into the run's folder; return its path."""
    file = run.folder / SCRIPT_FILE
    file.write_text(format_job_script(run, settings), encoding="utf-8")
    return file


def find_job_log(run_folder: Path, job_id: str) -> Path:
    """Return where a job's output lies.

    Args:
        job_id: as `squeue` writes it, "4711_0".
    """
    return run_folder / LOG_PATTERN.replace("%A_%a", job_id)


def format_job_script(run: Run, settings: SlurmSettings) -> str:
    """Return the script."""
    lines = [
        *list_header_lines(
            f"One worker of the run {run.id}; convarium submits it as the tasks of an array.",
            run.id,
            run.folder,
            settings,
        ),
        f"export {END_VARIABLE}=$(( $(date +%s) + {60 * settings.timeout_min} ))",
        *(settings.setup or ()),
        f"export {NOTICE_VARIABLE}={settings.signal_delay_s}",
        format_step(settings, "convarium", "work", str(run.folder)),
    ]
    return "\n".join(lines) + "\n"


def list_header_lines(purpose: str, name: str, folder: Path, settings: SlurmSettings) -> list[str]:
    """Return the first lines of a job's script.

    Args:
        purpose: a comment, for who reads the script.
        name: of the job.
        folder: where what it prints lies.
    """
    options = _list_options(name, folder, settings)
    return [
        "#!/bin/bash",
        f"# {purpose}",
        *(f"#SBATCH {_format_option(key, value)}" for key, value in options.items()),
    ]


def format_step(settings: SlurmSettings, module: str, *arguments: str) -> str:
    """Return the line of a script that runs a module with the Python of this process, on the cores of the job."""
    return shlex.join([
        "srun", f"--cpus-per-task={settings.cpus_per_task}", "--export=ALL", *(settings.srun_args or ()),
        sys.executable, "-m", module, *arguments,
    ])  # fmt: skip


def _list_options(name: str, folder: Path, settings: SlurmSettings) -> dict[str, Any]:
    given = {key: getattr(settings, key) for key in OPTION_KEYS}
    options = {
        **{key: value for key, value in given.items() if value is not None},
        "nodes": 1,
        "ntasks": 1,
        "time": settings.timeout_min,
        "signal": f"USR2@{settings.signal_delay_s}",
        "requeue": True,
        "open-mode": "append",
        "chdir": str(Path.cwd()),
        "output": str(folder).replace("%", "%%") + "/" + LOG_PATTERN,
    }
    if settings.mem_gb is not None:
        options["mem"] = f"{round(1024 * settings.mem_gb)}M"
    own = {key: value for key, value in settings.additional_parameters.items() if value not in (None, False)}
    return {"job-name": name, **{key.replace("_", "-"): value for key, value in (options | own).items()}}


def _format_option(key: str, value: Any) -> str:
    return f"--{key}" if value is True else f"--{key}={shlex.quote(str(value))}"
