"""What a process has of the hardware that times and executions are for, and what that fits."""

from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pytest

from convarium.host import devices
from convarium.host.devices import VISIBLE_VARIABLE, find_gpu_name
from convarium.host.hardware import Hardware, describe_wanted, parse_hardware, read_hardware
from convarium.host.provenance import read_cpu_model
from host.fake_gpus import GPUS, install_fake_gpus

HERE = Hardware("AMD EPYC 7543", "NVIDIA H200", ("torch 2.9.1", "onnxruntime 1.23.0"))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (None, True),
        ({"cpu": "AMD EPYC 7543", "executor": "torch 2.9.1"}, True),
        ({"cpu": "AMD EPYC 7543", "executor": "onnxruntime 1.23.0", "gpu": "NVIDIA H200"}, True),
        ({"cpu": "Intel Xeon", "executor": "torch 2.9.1"}, False),
        ({"cpu": "AMD EPYC 7543", "executor": "torch 2.8.0"}, False),
        ({"cpu": "AMD EPYC 7543", "executor": "torch 2.9.1", "gpu": "NVIDIA A100"}, False),
    ],
)
def test_what_is_wanted_fits_by_processor_version_and_where_there_is_one_gpu(
    wanted: dict[str, str] | None, fits: bool
) -> None:
    assert HERE.fits(wanted) == fits


def test_a_gpu_fits_no_host_without_one() -> None:
    wanted = {"cpu": "AMD EPYC 7543", "executor": "torch 2.9.1", "gpu": "NVIDIA H200"}
    without = Hardware("AMD EPYC 7543", None, ("onnxruntime 1.23.0",))
    assert not without.fits(wanted)
    assert describe_wanted(wanted) == "NVIDIA H200, AMD EPYC 7543, torch 2.9.1"
    assert without.describe(wanted) == "no GPU, AMD EPYC 7543, no torch"


def test_a_process_has_its_host_s_processor_the_installed_executors_and_the_gpu_that_it_sees_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fake_gpus(3, tmp_path, monkeypatch)
    monkeypatch.setenv(VISIBLE_VARIABLE, "2,0")
    hardware = read_hardware()
    assert (hardware.cpu, hardware.gpu) == (read_cpu_model(), GPUS[2].name)
    assert f"torch {version('torch')}" in hardware.executors
    assert read_hardware(GPUS[1:]).gpu == GPUS[1].name
    assert parse_hardware(asdict(hardware) | {"executors": list(hardware.executors)}) == hardware
    assert parse_hardware(None) is parse_hardware({"cpu": "x"}) is None


def test_a_gpu_that_is_hidden_is_none_and_without_nvidia_smi_the_driver_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver_folder = tmp_path / "driver"
    (driver_folder / "0000:01:00.0").mkdir(parents=True)
    (driver_folder / "0000:01:00.0" / "information").write_text("Model: \t\t NVIDIA H200\nIRQ: 3\n")
    monkeypatch.setattr(devices, "DRIVER_FOLDER", driver_folder)
    install_fake_gpus(1, tmp_path / "bin", monkeypatch)
    monkeypatch.setenv(VISIBLE_VARIABLE, "")
    assert find_gpu_name() is None
    monkeypatch.delenv(VISIBLE_VARIABLE)
    assert find_gpu_name() == GPUS[0].name
    monkeypatch.setenv("PATH", "")
    assert find_gpu_name() == "NVIDIA H200"
