"""A Slurm for a module's tests, a store and a journal for each."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.namespaces import NamespacesUnavailable
from cluster.slurm.slurm_cluster import PROGRAMS, SlurmCluster
from store.fake_run import SUBPROCESS_ENVIRONMENT


@pytest.fixture(scope="module")
def slurm_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    """Start a Slurm; skip where it can't be had."""
    cluster = start_cluster_or_skip(tmp_path_factory.mktemp("slurm"))
    yield cluster
    cluster.close()


@pytest.fixture
def slurm(slurm_of_module: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """Let this process and its children submit jobs, which import the tests' modules."""
    for variable, text in slurm_of_module.environment.items():
        monkeypatch.setenv(variable, text)
    monkeypatch.setenv("PYTHONPATH", SUBPROCESS_ENVIRONMENT["PYTHONPATH"])
    yield slurm_of_module
    slurm_of_module.call("scancel", "--user=root", "--signal=KILL", "--full")
    slurm_of_module.call("scancel", "--user=root")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The root of a store that is not there yet."""
    return tmp_path / "store"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A file that tells which stages were begun."""
    return tmp_path / "journal"


def start_cluster_or_skip(folder: Path, has_private_tmp: bool = False) -> SlurmCluster:
    """Start a Slurm whose files lie in a folder; skip the test where it can't be had."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    try:
        if missing:
            raise NamespacesUnavailable(f"{', '.join(missing)} missing: install slurmctld, slurmd, slurm-client, munge")
        return SlurmCluster(folder, has_private_tmp)
    except NamespacesUnavailable as reason:
        (pytest.fail if os.environ.get("SLURM") == "required" else pytest.skip)(f"no Slurm: {reason}")
