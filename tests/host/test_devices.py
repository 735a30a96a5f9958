"""GPUs are listed without torch, and a process selects its own; cores are those that it was given."""

import os
from pathlib import Path

import pytest

from convarium.host.devices import (
    ORDER_VARIABLE,
    TASK_CORES_VARIABLE,
    VISIBLE_VARIABLE,
    Gpu,
    count_task_cores,
    list_gpus,
    select_gpus,
)
from convarium.host.provenance import count_cores
from host.fake_gpus import GPUS, install_fake_gpus


def test_a_host_without_the_tool_or_with_one_that_fails_has_no_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(2, tmp_path, monkeypatch)
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho NVIDIA-SMI has failed\nexit 9\n")
    assert list_gpus() == ()
    monkeypatch.setenv("PATH", "")
    assert list_gpus() == ()


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, GPUS),
        ("", ()),
        ("2,0", (GPUS[2], GPUS[0])),
        ("GPU-b", (GPUS[1],)),
        ("1,7,2", (GPUS[1],)),
        ("-1", ()),
        ("MIG-1a2b", (Gpu("MIG-1a2b", "MIG-1a2b", GPUS[0].name),)),
    ],
)
def test_the_gpus_are_those_that_cuda_would_see(
    visible: str | None, expected: tuple[Gpu, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(4, tmp_path, monkeypatch)
    if visible is not None:
        monkeypatch.setenv(VISIBLE_VARIABLE, visible)
    assert list_gpus() == expected


def test_selected_gpus_are_counted_in_the_order_of_the_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(4, tmp_path, monkeypatch)
    select_gpus(GPUS[1:3])
    assert (os.environ[ORDER_VARIABLE], os.environ[VISIBLE_VARIABLE]) == ("PCI_BUS_ID", "1,2")
    assert list_gpus() == GPUS[1:3]


def test_what_a_scheduler_has_set_stays_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(4, tmp_path, monkeypatch)
    monkeypatch.setenv(VISIBLE_VARIABLE, "GPU-c000")
    select_gpus(GPUS[2:3])
    assert os.environ[VISIBLE_VARIABLE] == "GPU-c000"
    assert ORDER_VARIABLE not in os.environ


@pytest.mark.parametrize(("given", "expected"), [("1", 1), ("100000", count_cores()), ("", count_cores())])
def test_the_cores_of_a_task_are_those_that_slurm_gives_it(
    given: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TASK_CORES_VARIABLE, given)
    assert count_task_cores() == expected
