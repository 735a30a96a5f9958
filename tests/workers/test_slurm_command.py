"""What Slurm's commands are told by a process that works in a job itself."""

import pytest

from convarium.workers.slurm_command import run_slurm_command


def test_a_job_that_a_worker_submits_inherits_nothing_of_the_worker_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"SLURM_CONF": "/etc/slurm.conf", "PATH": "/usr/bin:/bin", "HOME": "/home/me", "SBATCH_ACCOUNT": "vision"}
    own = {"SLURM_JOB_ID": "7", "SLURM_RESTART_COUNT": "2", "CUDA_VISIBLE_DEVICES": "3", "SLURM_CPUS_PER_TASK": "8"}
    for variable, text in (given | own).items():
        monkeypatch.setenv(variable, text)
    lines = run_slurm_command("env").splitlines()
    assert {f"{variable}={text}" for variable, text in given.items()} <= set(lines)
    assert not {line.partition("=")[0] for line in lines} & own.keys()


def test_outside_of_jobs_all_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("SLURM_CLUSTERS", "other")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert {"SLURM_CLUSTERS=other", "CUDA_VISIBLE_DEVICES=1"} <= set(run_slurm_command("env").splitlines())
