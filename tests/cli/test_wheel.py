"""The wheel holds conf/ and sweeps/, and works from them alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

pytest.importorskip("hatchling")
PROJECT = Path(__file__).resolve().parents[2]


def test_an_installed_wheel_finds_its_own_conf_and_sweeps(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=PROJECT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    ZipFile(wheel).extractall(tmp_path / "site")
    command = [sys.executable, "-m", "convarium", "plan", "--fast", "--json", "sweep=deep_compression"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert json.loads(done.stdout)["points"] > 0
    command = [sys.executable, "-m", "convarium", "options", "compression/magnitude"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert "share of weights removed from each site" in done.stdout
    assert (tmp_path / "site/convarium/conf/convarium.yaml").is_file()
    assert (tmp_path / "site/convarium/sweeps").is_dir()
