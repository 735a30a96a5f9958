"""docs/clusters.md: its job scripts, run by bash on this host with workers of fake stages; its files as they parse.

What submits jobs or goes to another host is replaced by a script.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from convarium.compose.hydra_adapter import Composer
from convarium.compose.hydra_launcher import compose_launcher_config
from convarium.config import search_path
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.run_file import Run
from store.fake_run import SUBPROCESS_ENVIRONMENT, make_fake_node, make_fake_plan
from waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text(encoding="utf-8")
DEADLINE_SECONDS = 120.0
HOSTS = ("node01", "node02", "node03")
TIME_LIMIT = "230m"


class JobHost:
    """A folder to work in, the programs that its scripts call, and a run to work for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journal = folder, folder / "journal"
        self.processes: list[subprocess.Popen[str]] = []
        (folder / "bin").mkdir()
        self.write_program("convarium", f'exec "{sys.executable}" -m convarium "$@"')
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        self.environment = SUBPROCESS_ENVIRONMENT | {"PATH": path, "PBS_O_WORKDIR": str(folder)}
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "activate").write_text("")

    def write_program(self, name: str, script: str) -> None:
        """Put a program on the path."""
        program = self.folder / "bin" / name
        program.write_text(f"#!/bin/bash\n{script}\n")
        program.chmod(0o755)

    def begin_run(self, *nodes: Node) -> Run:
        """Begin a run that this process controls."""
        store = Store(self.folder / "store")
        store.prepare()
        run = Run.begin(make_fake_plan(*nodes), store, workers=len(HOSTS))
        self.environment["RUN"] = str(run.folder)
        return run

    def start(self, script: str) -> "subprocess.Popen[str]":
        """Have bash run a script, as PID 1 of a container does."""
        process = subprocess.Popen(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, script: str) -> tuple[int, str]:
        """Run a script; return its exit code and what it printed."""
        process = self.start(script)
        text = process.communicate(timeout=DEADLINE_SECONDS)[0]
        return process.returncode, text


@pytest.fixture
def host(tmp_path: Path) -> Iterator[JobHost]:
    """A host whose scripts end with the test."""
    host = JobHost(tmp_path)
    yield host
    for process in host.processes:
        process.kill()
        process.communicate()


def test_a_job_of_pbs_submits_another_when_its_time_is_over(host: JobHost) -> None:
    host.write_program("qsub", 'echo "$@" > submitted')
    run = host.begin_run(make_fake_node("endless", stage="ask"))
    assert host.run(_read_file("worker.sh").replace(TIME_LIMIT, "8s"))[0] == 0
    assert (host.folder / "submitted").read_text() == f"-v RUN={run.folder} {host.folder}/worker.sh\n"
    assert not list(run.store.glob("*/*/failed.json"))


def test_a_job_of_pbs_that_is_done_in_time_submits_none(host: JobHost) -> None:
    host.write_program("qsub", "touch submitted")
    host.begin_run(make_fake_node("short"))
    code, text = host.run(_read_file("worker.sh"))
    assert (code, text) == (0, "nothing is left for this worker\n")
    assert not (host.folder / "submitted").exists()


def test_the_loop_over_ssh_starts_a_worker_on_each_host(host: JobHost) -> None:
    host.write_program("ssh", 'echo "$1" >> hosts; shift; cd /; exec bash -c "$*"')
    nodes = [make_fake_node(name, journal=host.journal, seconds=2.0) for name in HOSTS]
    run = host.begin_run(*nodes)
    assert host.run(_read_file("workers.sh")) == (0, "")
    assert (host.folder / "hosts").read_text().split() == list(HOSTS)
    wait_until(lambda: len(list(Store(run.store).read_records())) == len(nodes), DEADLINE_SECONDS)
    logs = [host.folder / f"worker.{name}.log" for name in HOSTS]
    wait_until(lambda: all(log.read_text() == "nothing is left for this worker\n" for log in logs), DEADLINE_SECONDS)


def test_a_pod_fails_as_long_as_the_run_goes_on_and_ends_well_with_it(host: JobHost) -> None:
    run = host.begin_run(make_fake_node("short"))
    assert host.run(_read_pod_script()) == (1, "nothing is left for this worker\n")
    run.remove()
    assert host.run(_read_pod_script()) == (0, "the run is over\n")


def test_a_pod_that_is_evicted_hands_its_notice_on_and_fails(host: JobHost) -> None:
    host.begin_run(make_fake_node("endless", stage="ask", journal=host.journal))
    pod = host.start(_read_pod_script())
    wait_until(host.journal.exists, DEADLINE_SECONDS)
    pod.send_signal(signal.SIGTERM)
    text = pod.communicate(timeout=DEADLINE_SECONDS)[0]
    assert (pod.returncode, text) == (1, "left, as this worker was told to; what it was at goes on elsewhere\n")


def test_the_pods_get_the_run_and_the_shared_disk() -> None:
    job = yaml.safe_load(_read_file("workers.yaml"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (run,) = [variable["value"] for variable in container["env"] if variable["name"] == "RUN"]
    (mount,) = container["volumeMounts"]
    assert Path(run).is_relative_to(mount["mountPath"])
    assert mount["name"] in [volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]]


def test_the_launcher_for_workers_that_others_start_is_there(here: Path) -> None:
    composer = Composer(search_path.list_search_folders("conf"))
    settings = ["hydra/launcher=external", "hydra.launcher.cpus_per_task=8"]
    assert all(setting in PAGE for setting in settings)
    assert compose_launcher_config(composer.loader, settings, here, 1).hydra.launcher.cpus_per_task == 8


def _read_file(name: str) -> str:
    """Return a file that the page shows."""
    (text,) = re.findall(rf"^`{re.escape(name)}`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(text)


def _read_pod_script() -> str:
    (container,) = yaml.safe_load(_read_file("workers.yaml"))["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["bash", "-c"]
    (script,) = container["args"]
    return str(script)
