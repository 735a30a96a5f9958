"""A host is tried: whether its folder is its own, whether locks work, what it has of what is asked for."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from convarium.doctor.host_checks import HostNeeds, check_host, is_private_folder, parse_host_needs
from convarium.host.provenance import read_cpu_model
from convarium.host.room import FOLDER_VARIABLE
from host.fake_gpus import install_fake_gpus

ROOT_MOUNT = "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw"
NEEDS = HostNeeds(devices=1, accelerator="auto")


def check(name: str, needs: HostNeeds = NEEDS) -> tuple[bool, str]:
    """Return what one check of this host finds."""
    (finding,) = (finding for finding in check_host(needs) if finding.name == name)
    return finding.is_ok, finding.message


@pytest.mark.parametrize(
    ("mounts", "is_private"),
    [
        ([ROOT_MOUNT], False),
        ([ROOT_MOUNT, "40 27 0:30 / /tmp rw shared:5 - tmpfs tmpfs rw"], False),
        ([ROOT_MOUNT, "40 27 8:1 /4711/.4711 /tmp rw - xfs /dev/sda1 rw"], True),
        (
            [ROOT_MOUNT, "40 27 0:30 / /tmp rw - tmpfs tmpfs rw", "41 27 8:1 /4711/.4711 /tmp rw - xfs /dev/sda1 rw"],
            True,
        ),
        ([ROOT_MOUNT, "40 27 0:30 /@tmp /tmp rw - btrfs /dev/sda1 rw"], False),
        ([ROOT_MOUNT, "40 27 8:1 /home /home rw - xfs /dev/sda1 rw"], False),
        (["27 1 0:50 /image / rw - overlay overlay rw"], False),
        ([], False),
    ],
    ids=[
        "of the root",
        "a tmpfs",
        "a job's",
        "a job's over a tmpfs",
        "a subvolume",
        "another",
        "a container",
        "no Linux",
    ],
)
def test_a_private_tmp_is_told_by_its_mount(mounts: list[str], is_private: bool) -> None:
    assert is_private_folder(Path("/tmp"), "\n".join(mounts)) == is_private


def test_a_folder_that_others_may_not_write_to_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check("/tmp") == (True, f"{os.environ[FOLDER_VARIABLE]} is the whole host's, as far as can be seen")
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setattr("convarium.doctor.host_checks.find_host_folder", lambda: tmp_path)
    is_ok, message = check("/tmp")
    assert not is_ok
    assert message.startswith(f"{tmp_path} is not the whole host's, but one of this job or session: stages that take")
    assert message.endswith("export CONVARIUM_HOST_FOLDER=FOLDER, in a profile among the lines of hydra.launcher.setup")


def test_locks_of_the_host_are_tried_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert check("locks of the host") == (True, f"of two processes one holds a lock in {tmp_path}")
    assert not any(tmp_path.iterdir())


def test_a_room_that_is_held_is_not_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with (tmp_path / "convarium-room.lock").open("w") as room:
        fcntl.flock(room, fcntl.LOCK_EX)
        assert check("locks of the host")[0]


def test_a_host_without_locks_is_told_to_name_another_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    is_ok, message = check("locks of the host")
    assert not is_ok
    assert message.endswith("name another folder of this host: export CONVARIUM_HOST_FOLDER=FOLDER")


def test_the_processor_is_named_as_it_is_typed() -> None:
    assert check("processor")[1].startswith(f"{read_cpu_model()}, ")
    assert check("processor", HostNeeds(1, "auto", (read_cpu_model(),)))[0]
    is_ok, message = check("processor", HostNeeds(1, "auto", (read_cpu_model(), "Old Processor")))
    assert not is_ok
    assert message.startswith(f"{read_cpu_model()}, and times are asked for on Old Processor: name this one")


def test_too_few_gpus_or_another_are_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_gpus(2, tmp_path / "bin", monkeypatch)
    assert check("devices") == (True, "2 GPUs (Fake A, Fake B), 1 for each worker")
    assert check("devices", HostNeeds(0, "cpu"))[1] == "2 GPUs (Fake A, Fake B), unused: runtime.accelerator=cpu"
    assert check("devices", HostNeeds(4, "auto"))[1].startswith("runtime.devices=4: ")
    assert check("devices", HostNeeds(1, "auto", gpus=("Fake B",)))[1].startswith(
        "Fake A, and times are asked for on Fake B"
    )


def test_gpus_that_pytorch_does_not_find_are_not_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    install_fake_gpus(2, tmp_path / "bin", monkeypatch)
    assert "lists 2 GPUs on " in check("devices", HostNeeds(2, "auto"))[1]
    assert check("devices", HostNeeds(1, "gpu"))[1].startswith("runtime.accelerator=gpu: PyTorch finds none on ")


def test_without_gpus_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert check("devices")[0]
    assert check("devices")[1].startswith("no GPU")


def test_needs_reach_a_node_as_json() -> None:
    needs = HostNeeds(2, "gpu", ("a",), ("b", "c"))
    assert parse_host_needs({"devices": 2, "accelerator": "gpu", "cpus": ["a"], "gpus": ["b", "c"]}) == needs
