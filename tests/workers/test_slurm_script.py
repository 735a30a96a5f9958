"""The script of a run's jobs on Slurm."""

import sys
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.store.store import Store
from convarium.workers.run_file import Run
from convarium.workers.slurm_script import format_job_script
from convarium.workers.slurm_settings import parse_slurm_settings
from store.fake_run import make_fake_plan

PROFILE = {
    "partition": "gpu", "timeout_min": 240, "cpus_per_task": 6, "gpus_per_node": 1, "mem_gb": 2.5, "comment": "a b",
    "setup": ["module load cuda"], "additional_parameters": {"reservation": "spring", "exclusive": True, "wckey": None},
    "nodes": 1, "tasks_per_node": 1, "name": "mine", "submitit_folder": "there", "stderr_to_stdout": True,
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    store = Store(tmp_path / "50% of a store")
    store.prepare()
    return Run.begin(make_fake_plan(), store, 1)


def test_a_profile_of_submitit_gives_one_readable_script(run: Run) -> None:
    lines = format_job_script(run, parse_slurm_settings(PROFILE)).splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    assert options == {
        f"--job-name={run.id}", "--partition=gpu", "--time=240", "--cpus-per-task=6", "--gpus-per-node=1",
        "--mem=2560M", "--comment='a b'", "--reservation=spring", "--exclusive", "--nodes=1", "--ntasks=1", "--requeue",
        "--open-mode=append", "--signal=USR2@120", f"--chdir={Path.cwd()}",
        f"--output='{run.folder}/job.%A_%a.log'".replace("50%", "50%%"),
    }  # fmt: skip
    assert lines[0] == "#!/bin/bash"
    assert lines[-3:] == [
        "module load cuda",
        "export CONVARIUM_NOTICE_SECONDS=120",
        f"srun --cpus-per-task=6 --export=ALL {sys.executable} -m convarium work '{run.folder}'",
    ]


@pytest.mark.parametrize("key", ["timeout_min", "cpus_per_task", "array_parallelism", "signal_delay_s"])
@pytest.mark.parametrize("value", [0, 1.5, "many"])
def test_counts_are_whole_numbers(key: str, value: object) -> None:
    with pytest.raises(UserError, match=f"hydra.launcher.{key}={value}: expected a whole number from 1"):
        parse_slurm_settings({key: value})
