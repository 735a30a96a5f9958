"""An nvidia-smi that lists GPUs that are not there."""

import os
from pathlib import Path

import pytest

from convarium.host import devices
from convarium.host.devices import Gpu

GPUS = tuple(Gpu(str(index), f"GPU-{letter}000", f"Fake {letter.upper()}") for index, letter in enumerate("abcd"))


def install_fake_gpus(count: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a tool first on the path that lists so many GPUs; what a test selects among them is undone after it."""
    folder.mkdir(exist_ok=True)
    rows = "\n".join(f"{gpu.index}, {gpu.uuid}, {gpu.name}" for gpu in GPUS[:count])
    tool = folder / devices.QUERY_COMMAND[0]
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{rows}\nEND\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for variable in (devices.VISIBLE_VARIABLE, devices.ORDER_VARIABLE):
        monkeypatch.setenv(variable, "")  # so that it is as before after the test, even where it was not set
        monkeypatch.delenv(variable)
    # The tool is asked once in a process: another test's answer must not count here, nor this one's there.
    monkeypatch.setattr(devices, "_query_gpus", devices._query_gpus.__wrapped__)
