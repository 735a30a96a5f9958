"""A worker may have as many devices as its profile asks a scheduler for."""

from typing import Any

import pytest

from convarium.compose.task_devices import check_task_devices
from convarium.errors import UserError


@pytest.mark.parametrize(
    ("launcher", "accelerator", "devices"),
    [
        ({"cpus_per_task": 1}, "auto", 1),
        ({"cpus_per_task": 4}, "auto", 4),
        ({"cpus_per_task": 1, "gpus_per_node": 4}, "auto", 4),
        ({"cpus_per_task": 1, "gpus_per_node": "a100:4"}, "gpu", 4),
        ({"cpus_per_task": 1, "gpus_per_task": 2}, "gpu", 2),
        ({"cpus_per_task": 1, "gres": "shard:1,gpu:a100:2"}, "gpu", 2),
        ({}, "auto", 8),  # workers of this host
    ],
)
def test_as_many_as_the_profile_asks_for_are_right(launcher: dict[str, Any], accelerator: str, devices: int) -> None:
    check_task_devices({"devices": devices, "accelerator": accelerator}, launcher)


@pytest.mark.parametrize(
    ("launcher", "accelerator", "line"),
    [
        ({"cpus_per_task": 1}, "auto", "hydra.launcher asks for 1 for a task; set hydra.launcher.cpus_per_task=2"),
        ({"cpus_per_task": 1, "gpus_per_node": 4}, "cpu", "set hydra.launcher.cpus_per_task=2"),
        ({"cpus_per_task": 8, "gpus_per_node": 1}, "auto", "set hydra.launcher.gpus_per_node=2"),
        ({"cpus_per_task": 8, "gres": "gpu:a100"}, "auto", "set hydra.launcher.gpus_per_node=2"),
    ],
)
def test_more_than_the_profile_asks_for_are_refused(launcher: dict[str, Any], accelerator: str, line: str) -> None:
    with pytest.raises(UserError, match=r"runtime\.devices=2") as refused:
        check_task_devices({"devices": 2, "accelerator": accelerator}, launcher)
    assert line in str(refused.value)
