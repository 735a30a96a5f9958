"""`convarium doctor` on a real Slurm that gives each job a /tmp of its own."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.hosts import SHARED_TMP
from cluster.slurm.conftest import start_cluster_or_skip
from cluster.slurm.slurm_cluster import SlurmCluster
from convarium.host.room import FOLDER_VARIABLE
from store.fake_run import ROOT, SUBPROCESS_ENVIRONMENT

pytestmark = pytest.mark.xdist_group("slurm")


@pytest.fixture
def seen_folder() -> Iterator[Path]:
    """A folder that jobs see too, and this repository."""
    hidden = [path for path in (ROOT, Path(sys.prefix)) if path.resolve().is_relative_to(SHARED_TMP)]
    if hidden:
        pytest.skip(f"jobs with a /tmp of their own don't see {hidden[0]}")
    folder = Path(tempfile.mkdtemp(prefix="convarium-slurm-", dir="/var/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def slurm(seen_folder: Path) -> Iterator[SlurmCluster]:
    """A Slurm whose jobs have private folders."""
    (seen_folder / "slurm").mkdir()
    cluster = start_cluster_or_skip(seen_folder / "slurm", has_private_tmp=True)
    yield cluster
    cluster.close()


def test_it_is_told_and_a_folder_that_jobs_share_mends_it(slurm: SlurmCluster, seen_folder: Path) -> None:
    code, not_ok = examine(slurm, seen_folder, "")
    assert code == 1
    assert [name.split(" on ")[0] for name in not_ok] == ["/tmp"]
    (message,) = not_ok.values()
    assert message.startswith("/tmp is not the whole host's, but one of this job or session: stages that take times")
    (seen_folder / "of-host").mkdir()
    assert examine(slurm, seen_folder, f"setup: [export {FOLDER_VARIABLE}={seen_folder}/of-host]\n") == (0, {})
    code, not_ok = examine(slurm, seen_folder, "", "--no-job")
    assert (code, list(not_ok)) == (1, ["/tmp of jobs"])


def examine(slurm: SlurmCluster, folder: Path, profile: str, *options: str) -> tuple[int, dict[str, str]]:
    """Run the command with a profile; return its exit code and the messages of what is not ok."""
    profile_file = folder / "conf" / "hydra" / "launcher" / "my_cluster.yaml"
    profile_file.parent.mkdir(parents=True, exist_ok=True)
    profile_file.write_text(f"defaults: [slurm, _self_]\n{profile}")
    environment = SUBPROCESS_ENVIRONMENT | slurm.environment
    environment.pop(FOLDER_VARIABLE, None)
    arguments = ["doctor", "--json", "hydra/launcher=my_cluster", "runtime.store=store", *options]
    done = subprocess.run(
        [sys.executable, "-m", "convarium", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    checks = json.loads(done.stdout)["checks"]
    return done.returncode, {check["name"]: check["message"] for check in checks if not check["ok"]}
