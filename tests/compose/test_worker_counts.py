"""How many workers a run has, and the cores and GPUs of each."""

import re
from pathlib import Path
from typing import Any

import pytest

from convarium.compose.worker_counts import WORKERS_ELSEWHERE, count_devices, count_threads, count_workers
from convarium.errors import UserError
from convarium.host.devices import TASK_CORES_VARIABLE
from convarium.host.process import current_process
from convarium.host.provenance import count_cores
from convarium.planning.host_check import check_devices
from host.fake_gpus import install_fake_gpus

RUNTIME: dict[str, Any] = {"workers": None, "threads": None, "devices": 1, "accelerator": "auto"}


@pytest.mark.parametrize(
    ("gpus", "changes", "expected"),
    [
        (0, {}, count_cores()),
        (0, {"devices": 2}, max(1, count_cores() // 2)),
        (4, {"accelerator": "cpu", "devices": 1000}, 1),
        (4, {}, 4),
        (4, {"devices": 2}, 2),
        (3, {"devices": 2}, 1),
        (4, {"accelerator": "gpu"}, 4),
        (4, {"accelerator": "cpu"}, count_cores()),
        (4, {"workers": 7}, 7),
    ],
)
def test_left_open_there_are_as_many_workers_as_have_gpus_else_one_a_core(
    gpus: int, changes: dict[str, Any], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(gpus, tmp_path, monkeypatch)
    assert count_workers(RUNTIME | changes, is_launched_here=True) == expected


@pytest.mark.parametrize("gpus", [0, 4])
def test_left_open_on_other_hosts_their_number_does_not_follow_from_this_host(
    gpus: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(gpus, tmp_path, monkeypatch)
    assert count_workers(RUNTIME, is_launched_here=False) == WORKERS_ELSEWHERE
    assert count_workers(RUNTIME | {"workers": 32}, is_launched_here=False) == 32


def test_a_worker_on_the_cpu_has_no_gpus() -> None:
    assert [count_devices(RUNTIME | {"accelerator": kind}) for kind in ("auto", "gpu", "cpu", "mps")] == [1, 1, 0, 0]


def test_threads_are_those_typed_those_of_a_scheduler_s_task_or_a_share_of_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TASK_CORES_VARIABLE, raising=False)
    monkeypatch.setattr("convarium.compose.worker_counts.count_task_cores", lambda: 8)
    slurm = {"_target_": "…SlurmLauncher", "cpus_per_task": 6}
    assert count_threads(RUNTIME | {"threads": 3}, 4, slurm) == 3
    assert count_threads(RUNTIME, 4, slurm) == 6
    assert count_threads(RUNTIME, 4, {}) == 2
    assert count_threads(RUNTIME, 100, {}) == 1


def test_more_devices_than_the_host_has_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(2, tmp_path, monkeypatch)
    check_devices(2)
    with pytest.raises(UserError, match=rf"^runtime\.devices=3: {re.escape(current_process().host)} has 2 GPUs$"):
        check_devices(3)
    monkeypatch.setenv("PATH", "")
    check_devices(3)
