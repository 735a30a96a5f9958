"""`convarium doctor`: what a run would meet here and on the nodes of its launcher, and what mends it."""

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from convarium.cli.command_parser import CommandParser

if TYPE_CHECKING:
    from pathlib import Path

    from convarium.compose.points import PointRequest
    from convarium.doctor.finding import Finding
    from convarium.doctor.host_checks import HostNeeds
    from convarium.workers.slurm_settings import SlurmSettings

DESCRIPTION = (
    "Check the store's disk, this host, the tracker and Slurm before a first run; say what mends what is not ok."
)
EXAMPLE = """

  convarium doctor hydra/launcher=my_cluster runtime.store=/shared/store"""


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("doctor", DESCRIPTION, takes_points=True, epilog=EXAMPLE)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--no-job", action="store_true", help="submit no job to Slurm: nothing is checked on a node")
    return parser


def main(argv: Sequence[str]) -> int:
    """Make all checks; exit code 1 if one finds something that is not ok."""
    options = build_parser().parse_overrides(argv)
    from convarium.cli import output
    from convarium.compose.points import compose_points

    with output.redirect_to_stderr():
        request = compose_points(options.overrides)
        findings = _examine(request, options)
    if options.json:
        output.print_json({"checks": [finding.to_json() for finding in findings]})
    else:
        _print_findings(findings)
    return 0 if all(finding.is_ok for finding in findings) else 1


def _examine(request: "PointRequest", options: Namespace) -> "list[Finding]":
    from convarium.compose.store_access import open_store
    from convarium.doctor.disk_checks import check_disk, make_trial_folder
    from convarium.doctor.finding import Finding
    from convarium.doctor.host_checks import check_host
    from convarium.doctor.tracker_check import check_tracker
    from convarium.planning.host_check import is_launched_here
    from convarium.store.disk import format_error

    root = open_store(request.runtime).root.resolve()
    needs, settings = _collect_needs(request), _compose_slurm_settings(request, root)
    findings = check_tracker(request.tracking, root)
    if is_launched_here(request.launcher_overrides):
        findings += check_host(needs)
    elif settings is None:
        print("convarium: the hosts of this launcher are not looked at", file=sys.stderr)
    try:
        with make_trial_folder(root) as folder:
            findings += check_disk(folder)
            if settings is not None:
                findings += _examine_slurm(settings, folder, needs, request.runtime["workers"], not options.no_job)
    except OSError as error:
        findings.append(Finding("store", False, f"{format_error(error)}; set another runtime.store"))
    return findings


def _collect_needs(request: "PointRequest") -> "HostNeeds":
    from convarium.compose.worker_counts import count_devices
    from convarium.doctor.host_checks import HostNeeds

    measurements = [point.config["measurement"] for point in request.check_points()]
    cpus, gpus = ({each[key]: None for each in measurements if each[key]} for key in ("cpu", "gpu"))
    return HostNeeds(count_devices(request.runtime), request.runtime["accelerator"], tuple(cpus), tuple(gpus))


def _compose_slurm_settings(request: "PointRequest", store: "Path") -> "SlurmSettings | None":
    """Return the settings of a launcher whose workers are jobs of Slurm; None of any other.

    Raises:
        UserError: no such launcher, or a setting of it is wrong.
    """
    from convarium.compose.hydra_launcher import (
        build_backend_builder,
        compose_launcher_config,
        find_scheduler,
        list_settings,
    )
    from convarium.workers.slurm_backend import SlurmBackend
    from convarium.workers.slurm_settings import parse_slurm_settings

    config = compose_launcher_config(request.composer.loader, request.launcher_overrides, store, 1)
    build_backend_builder(config)
    if find_scheduler(config) != SlurmBackend.scheduler:
        return None
    return parse_slurm_settings(list_settings(config))


def _examine_slurm(
    settings: "SlurmSettings", folder: "Path", needs: "HostNeeds", workers: int | None, has_job: bool
) -> "list[Finding]":
    from convarium.doctor.node_job import JOB_CHECK, check_node, write_node_script
    from convarium.doctor.slurm_checks import check_job_folders, check_slurm

    script = write_node_script(folder, settings)
    findings = check_slurm(settings, script, workers)
    if has_job and all(finding.is_ok for finding in findings):
        findings += check_node(script, needs, lambda line: print(f"convarium: {line}", file=sys.stderr, flush=True))
    is_node_seen = any(finding.name == JOB_CHECK and finding.is_ok for finding in findings)
    return findings if is_node_seen else [*findings, check_job_folders()]


def _print_findings(findings: "Sequence[Finding]") -> None:
    from rich.table import Column, Table

    from convarium import terminal_table
    from convarium.cli import output

    table = Table("check", "", Column("found", overflow="fold"), box=None)
    for finding in findings:
        table.add_row(finding.name, "ok" if finding.is_ok else "not ok", finding.message)
    terminal_table.print_fitting_table(output.build_console(), table, ())
