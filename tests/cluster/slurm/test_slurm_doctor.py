"""`convarium doctor` on a real Slurm: a job looks at a node from inside."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from cluster.slurm.slurm_cluster import CPUS, NODES, SlurmCluster
from command_lines import Call
from convarium.doctor import node_job
from convarium.doctor.node_job import JOB_CHECK

pytestmark = pytest.mark.xdist_group("slurm")
BASE_PROFILE = "defaults: [slurm, _self_]\n"
NODE_CHECKS = [
    "store", "locks of the store", "clock of the disk", "environment", "/tmp", "locks of the host", "processor",
    "devices", "submission",
]  # fmt: skip
REFUSING_SBATCH = "#!/bin/sh\necho 'sbatch: error: Access/permission denied' >&2\nexit 1\n"


class Examined(NamedTuple):
    """What the command found.

    Attributes:
        node: on which checks were made; "" where there is none.
        not_ok: messages of what is not ok, by the names of the checks without the node's.
    """

    code: int
    names: list[str]
    node: str
    not_ok: dict[str, str]
    error: str


Examine = Callable[..., Examined]


@pytest.fixture
def examine(slurm: SlurmCluster, call: Call, write: Callable[[str, str], Path]) -> Examine:
    """Run the command with a profile, given as lines of YAML; check that it leaves no job and no store."""

    def examined(*arguments: str, profile: str = "") -> Examined:
        write("conf/hydra/launcher/my_cluster.yaml", BASE_PROFILE + profile)
        code, out, error = call("doctor", "--json", "hydra/launcher=my_cluster", "runtime.store=store", *arguments)
        assert not Path("store").exists()
        assert list_own_jobs(slurm) == []
        return parse_document(code, out, error)

    return examined


def parse_document(code: int, out: str, error: str) -> Examined:
    """Return what the command's JSON says."""
    checks = json.loads(out)["checks"]
    node = next((name for name in NODES for check in checks if check["name"].endswith(f" on {name}")), "")
    not_ok = {check["name"].removesuffix(f" on {node}"): check["message"] for check in checks if not check["ok"]}
    return Examined(code, [check["name"] for check in checks], node, not_ok, error)


def list_own_jobs(slurm: SlurmCluster) -> list[str]:
    """Return the jobs of the command that wait or run."""
    names = slurm.call("squeue", "--noheader", "--states=PENDING,RUNNING", "--format=%j").split()
    return [name for name in names if name.startswith("doctor.")]


def occupy_all_nodes(slurm: SlurmCluster) -> None:
    """Leave no core to other jobs."""
    slurm.submit(f"--ntasks={CPUS * len(NODES)}", "--wrap=sleep 120")


def test_a_good_cluster_is_ok_in_all_and_is_looked_at_from_a_node(examine: Examine) -> None:
    examined = examine()
    assert (examined.code, examined.not_ok) == (0, {})
    assert examined.names[-len(NODE_CHECKS) :] == [f"{name} on {examined.node}" for name in NODE_CHECKS]
    assert JOB_CHECK in examined.names
    assert "convarium: waits at most 60 s for the job " in examined.error


def test_without_a_job_nothing_is_said_of_a_node(examine: Examine) -> None:
    examined = examine("--no-job")
    assert (examined.code, examined.node, examined.error) == (0, "", "")
    assert JOB_CHECK not in examined.names
    assert examined.names[-4:] == ["profile", "arrays", "limits of jobs", "/tmp of jobs"]


def test_a_profile_that_slurm_refuses_submits_no_job(examine: Examine) -> None:
    examined = examine(profile="partition: nope\n")
    assert examined.code == 1
    assert list(examined.not_ok) == ["profile"]
    assert "invalid partition specified: nope" in examined.not_ok["profile"]
    assert JOB_CHECK not in examined.names


def test_a_queue_that_is_full_is_not_waited_for(
    examine: Examine, slurm: SlurmCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_job, "START_SECONDS", 2.0)
    occupy_all_nodes(slurm)
    examined = examine()
    assert examined.code == 1
    assert examined.not_ok[JOB_CHECK].startswith("did not start within 2 s (")
    assert examined.not_ok[JOB_CHECK].endswith("): no node was looked at; try again later")


def test_a_node_with_another_disk_at_the_store_s_path_is_told(slurm: SlurmCluster, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    arguments = ["doctor", "--json", "hydra/launcher=slurm", f"runtime.store={tmp_path}/shared/store"]
    done = slurm.run_on_other_disk(tmp_path / "shared", sys.executable, "-m", "convarium", *arguments)
    examined = parse_document(done.returncode, done.stdout, done.stderr)
    assert examined.code == 1
    assert list(examined.not_ok) == ["store"]
    assert examined.not_ok["store"] == (
        f"{tmp_path}/shared/store is another folder there, or none: set runtime.store to one that all nodes mount under"
        " its path"
    )
    assert examined.node


def test_a_node_without_the_environment_is_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_job, "sys", SimpleNamespace(executable="/nowhere/bin/python"))
    examined = examine()
    assert examined.not_ok["environment"].startswith("/nowhere/bin/python is not there: install convarium on a disk")


def test_a_node_with_another_convarium_is_told(examine: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_job, "hash_source", lambda: "another")
    examined = examine()
    assert list(examined.not_ok) == ["environment"]
    assert "holds another convarium than the one that submits" in examined.not_ok["environment"]


def test_a_job_that_ends_without_an_answer_is_told_with_its_last_line(examine: Examine) -> None:
    examined = examine(profile="setup: [echo no module of that name, exit 3]\n")
    assert list(examined.not_ok) == [JOB_CHECK]
    assert "ended as FAILED on node-" in examined.not_ok[JOB_CHECK]
    assert examined.not_ok[JOB_CHECK].endswith("without an answer; it said: no module of that name")


def test_a_folder_that_is_a_job_s_own_is_told_and_another_mends_it(examine: Examine, tmp_path: Path) -> None:
    private, shared = tmp_path / "private", tmp_path / "shared"
    mount = f"mkdir -p {private}/of-job {private}/tmp && mount -n --bind {private}/of-job {private}/tmp"
    examined = examine(profile=f"setup: [{mount}, export CONVARIUM_HOST_FOLDER={private}/tmp]\n")
    assert list(examined.not_ok) == ["/tmp"]
    assert f"{private}/tmp is not the whole host's" in examined.not_ok["/tmp"]
    mended = examine(profile=f"setup: [mkdir -p {shared}, export CONVARIUM_HOST_FOLDER={shared}]\n")
    assert mended.not_ok == {}


def test_nodes_that_may_not_submit_are_told(examine: Examine, write: Callable[[str, str], Path]) -> None:
    sbatch = write("bin/sbatch", REFUSING_SBATCH)
    sbatch.chmod(0o755)
    examined = examine(profile=f"setup: ['export PATH={sbatch.parent}:$PATH']\n")
    assert examined.not_ok == {
        "submission": "sbatch: Access/permission denied: jobs can't be submitted or begun again from here; keep the"
        " command that submits running"
    }


def test_a_node_of_another_processor_than_times_are_asked_for_is_told(examine: Examine) -> None:
    examined = examine("measurement.executors=[eager]", "measurement.cpu=Old Processor")
    assert list(examined.not_ok) == ["processor"]
    assert "times are asked for on Old Processor" in examined.not_ok["processor"]


def test_an_interrupt_while_it_waits_takes_job_and_folder_away(slurm: SlurmCluster, store: Path) -> None:
    occupy_all_nodes(slurm)
    command = [sys.executable, "-m", "convarium", "doctor", "hydra/launcher=slurm", f"runtime.store={store}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "waits at most 60 s" in process.stderr.readline()
    assert len(list_own_jobs(slurm)) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert list_own_jobs(slurm) == []
    assert not store.exists()
