"""A job of Slurm that makes checks on a node, and brings what they find back through the store."""

import fcntl
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from convarium.doctor.finding import Finding, parse_finding
from convarium.doctor.host_checks import HostNeeds
from convarium.host.provenance import hash_source
from convarium.workers.slurm_backend import read_last_line
from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command
from convarium.workers.slurm_queue import END_STATES, WAITING_STATES
from convarium.workers.slurm_script import format_step, list_header_lines
from convarium.workers.slurm_settings import SlurmSettings

NODE_MODULE = "convarium.doctor.node_examination"
SCRIPT_FILE, REQUEST_FILE, ANSWER_FILE, LOG_FILE = "job.sh", "request.json", "answer.json", "job.log"
TAKEN_FILE, LOCKED_FILE = "taken", "locked"
JOB_CHECK = "job on a node"
START_SECONDS, RUN_SECONDS = 60.0, 120.0
ANSWER_SECONDS = 15.0  # for which a network disk may hide what a job that is over has written
POLL_SECONDS = 1.0
NO_FOLDER_CODE, NO_PYTHON_CODE = 71, 72
# What a job of seconds does not need, or would wait for in the queue.
JOB_OPTIONS = ("--time=5", "--no-requeue", "--signal=USR2@1", "--output=/dev/null")


@dataclass(frozen=True)
class JobView:
    """A job as Slurm shows it.

    Attributes:
        state: Slurm's word.
        reason: why it waits.
        exit_code: of its script, 0 as long as it runs.
        node: where it runs or ran.
    """

    state: str
    reason: str
    exit_code: int
    node: str


def write_node_script(folder: Path, settings: SlurmSettings) -> Path:
    """Write the script of the job, and the files that it needs, into a folder of the store; return its path."""
    # They are there before a node looks: what a network disk has told to be missing it may go on telling to be.
    for name in (ANSWER_FILE, LOG_FILE, TAKEN_FILE, LOCKED_FILE):
        (folder / name).touch()
    quoted_python = shlex.quote(sys.executable)
    # What is printed on a node that does not see the folder is lost: there the exit code tells.
    lines = [
        *list_header_lines("The checks of convarium doctor on a node.", folder.name.strip("."), folder, settings),
        f"test -e {shlex.quote(str(folder / TAKEN_FILE))} || exit {NO_FOLDER_CODE}",
        f"exec > {shlex.quote(str(folder / LOG_FILE))} 2>&1",
        *(settings.setup or ()),
        f"test -x {quoted_python} || exit {NO_PYTHON_CODE}",
        format_step(settings, NODE_MODULE, str(folder)),
    ]
    script = folder / SCRIPT_FILE
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return script


def check_node(script: Path, needs: HostNeeds, notify: Callable[[str], None]) -> list[Finding]:
    """Have Slurm run the job; return what it found, with the name of its node.

    Args:
        script: from `write_node_script`.
        notify: told what is waited for.
    """
    folder = script.parent
    request = {"needs": asdict(needs), "source": hash_source()}
    (folder / REQUEST_FILE).write_text(json.dumps(request), encoding="utf-8")
    try:
        with _hold_lock(folder / LOCKED_FILE), _submit_job(script) as job_id:
            notify(f"waits at most {START_SECONDS:.0f} s for the job {job_id} to start, which makes checks on a node")
            return _await_answer(job_id, folder)
    except SlurmRefusal as error:
        return [Finding(JOB_CHECK, False, str(error))]


@contextmanager
def _hold_lock(file: Path) -> Iterator[None]:
    descriptor = os.open(file, os.O_RDWR)
    try:
        with suppress(OSError):  # a disk without locks has been told of
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _submit_job(script: Path) -> Iterator[str]:
    """Submit the job; cancel it at the end, unless it is over."""
    text = run_slurm_command("sbatch", "--parsable", *JOB_OPTIONS, str(script))
    job_id = text.strip().split(";")[0]  # the cluster's name may follow
    try:
        yield job_id
    finally:
        with suppress(SlurmRefusal):
            run_slurm_command("scancel", job_id)


def _await_answer(job_id: str, folder: Path) -> list[Finding]:
    submitted_at = time.monotonic()
    started_at: float | None = None
    while True:
        job, answer = _read_job(job_id), _read_answer(folder)
        now = time.monotonic()
        if job.state not in WAITING_STATES:
            started_at = started_at or now
        if answer is None and job.state in END_STATES and job.exit_code == 0:
            answer = _await_last_answer(folder)
        if answer is not None:
            return _list_findings(answer, (started_at or now) - submitted_at)
        if job.state in END_STATES:
            return [_explain_end(job, folder)]
        if started_at is None and now - submitted_at > START_SECONDS:
            line = f"did not start within {START_SECONDS:.0f} s ({job.reason}): no node was looked at; try again later"
            return [Finding(JOB_CHECK, False, line)]
        if started_at is not None and now - started_at > RUN_SECONDS:
            said = read_last_line(folder / LOG_FILE)
            line = f"has not answered from {job.node} for {RUN_SECONDS:.0f} s; it said: {said}"
            return [Finding(JOB_CHECK, False, line)]
        time.sleep(POLL_SECONDS)


def _await_last_answer(folder: Path) -> dict[str, Any] | None:
    end = time.monotonic() + ANSWER_SECONDS
    while (answer := _read_answer(folder)) is None and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return answer


def _read_answer(folder: Path) -> dict[str, Any] | None:
    """Return what the node has written, None as long as it is not complete."""
    try:
        answer: dict[str, Any] = json.loads((folder / ANSWER_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return answer


def _read_job(job_id: str) -> JobView:
    text = run_slurm_command("scontrol", "show", "job", job_id)
    fields = dict(re.findall(r"(\w+)=(\S*)", text))
    exit_code, _, _ = fields.get("ExitCode", "0").partition(":")
    return JobView(
        fields["JobState"], fields.get("Reason", "no reason told"), int(exit_code), fields.get("NodeList", "")
    )


def _list_findings(answer: dict[str, Any], seconds: float) -> list[Finding]:
    node = answer["host"]
    start = Finding(JOB_CHECK, True, f"started on {node} within {seconds + POLL_SECONDS:.0f} s")
    return [start, *(parse_finding(values).name_host(node) for values in answer["findings"])]


def _explain_end(job: JobView, folder: Path) -> Finding:
    if job.exit_code == NO_FOLDER_CODE:
        line = "another folder there, or none: set runtime.store to one that all nodes mount under its path"
        return Finding("store", False, f"{folder.parent} is {line}").name_host(job.node)
    if job.exit_code == NO_PYTHON_CODE:
        line = f"{sys.executable} is not there: install convarium on a disk that all nodes mount under its path"
        return Finding("environment", False, line).name_host(job.node)
    said = read_last_line(folder / LOG_FILE)
    return Finding(JOB_CHECK, False, f"ended as {job.state} on {job.node} without an answer; it said: {said}")
