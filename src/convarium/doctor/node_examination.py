"""`python -m convarium.doctor.node_examination FOLDER`: the checks on a node, in a job that `doctor` has submitted."""

import json
import sys
from functools import partial
from pathlib import Path

from convarium.doctor.disk_checks import check_clock
from convarium.doctor.finding import Finding, make_check
from convarium.doctor.host_checks import check_host, parse_host_needs
from convarium.doctor.node_job import ANSWER_FILE, LOCKED_FILE, REQUEST_FILE, SCRIPT_FILE, TAKEN_FILE
from convarium.doctor.rival import is_created, is_linked, is_lock_free
from convarium.errors import UserError
from convarium.host.process import current_process
from convarium.host.provenance import hash_source
from convarium.workers.slurm_command import SlurmRefusal, run_slurm_command


def main(folder: Path) -> None:
    """Make the checks; write what they find into the file that the submitting host has made for it."""
    request = json.loads((folder / REQUEST_FILE).read_text(encoding="utf-8"))
    findings: list[Finding] = [
        make_check("store", partial(_check_store, folder)),
        make_check("locks of the store", partial(_check_store_locks, folder)),
        make_check("clock of the disk", partial(check_clock, folder)),
        make_check("environment", partial(_check_environment, request["source"])),
        *check_host(parse_host_needs(request["needs"])),
        make_check("submission", partial(_check_submission, folder)),
    ]
    answer = {"host": current_process().host, "findings": [finding.to_json() for finding in findings]}
    (folder / ANSWER_FILE).write_text(json.dumps(answer), encoding="utf-8")


def _check_store(folder: Path) -> str:
    own_file, taken_file = str(folder / "of-node"), str(folder / TAKEN_FILE)
    is_created(own_file)
    if is_created(taken_file) or is_linked(own_file, taken_file):
        raise UserError(
            "a name that another host has made can be made again: two workers would make the same; set another"
            " runtime.store"
        )
    return f"{folder.parent} is the same folder there"


def _check_store_locks(folder: Path) -> str:
    if is_lock_free(str(folder / LOCKED_FILE)):
        raise UserError(
            "what another host locks can be locked: two may decode the same images; mount the disk without local locks"
            " (NFS: without nolock and local_lock, Lustre: with flock)"
        )
    return "what another host locks is locked"


def _check_environment(source: str) -> str:
    if hash_source() != source:
        raise UserError(
            f"{sys.executable} holds another convarium than the one that submits: install one on a disk that all"
            " nodes mount under its path"
        )
    return f"{sys.executable} and the same convarium"


def _check_submission(folder: Path) -> str:
    try:
        run_slurm_command("scontrol", "ping")
        run_slurm_command("sbatch", "--test-only", str(folder / SCRIPT_FILE))
    except SlurmRefusal as error:
        if not error.is_limit:
            raise UserError(
                f"{error}: jobs can't be submitted or begun again from here; keep the command that submits running"
            ) from None
    return "jobs can be submitted from here"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
