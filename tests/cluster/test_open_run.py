"""An open run whose controllers are on other hosts than its workers."""

from pathlib import Path

import pytest

from cluster.cluster_run import count_begun
from cluster.conftest import StartHost
from cluster.hosts import Host
from cluster.impatient_controller import STAGE_NAMES
from convarium.store.store import Store
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")
CONTROL = ("-m", "cluster.impatient_controller")


def test_a_controller_of_another_host_takes_over_while_the_workers_go_on(start_host: StartHost, tmp_path: Path) -> None:
    root, journal, (first, second) = _start_two_hosts(start_host, tmp_path)
    elsewhere = second.mount_view(root, seconds=1.0)
    controller = first.start_python(*CONTROL, root, journal)
    wait_until(lambda: len(count_begun(journal)) >= 4)
    successor = second.start_python(*CONTROL, elsewhere, journal)
    (run_folder,) = (root / "runs").iterdir()
    controller.kill()
    wait_until(lambda: not (run_folder / "run.json").exists())
    assert successor.wait()[:2] == (0, "")
    assert count_begun(journal) == dict.fromkeys(STAGE_NAMES, 1)
    assert {record["host"]["name"] for record in Store(root).read_records()} == {"first"}
    assert len({line.split()[1] for line in journal.read_text().splitlines()}) == 2, "the two workers of before"
    assert not any((root / "runs").iterdir())


def test_a_host_with_old_views_follows_a_plan_that_grows(start_host: StartHost, tmp_path: Path) -> None:
    root, journal, (first, second) = _start_two_hosts(start_host, tmp_path)
    view = second.mount_view(root, seconds=5.0)
    controller = first.start_python(*CONTROL, root, journal)
    wait_until(lambda: any(root.glob("runs/*/run.json")))
    (run_file,) = root.glob("runs/*/run.json")
    helper = second.start_python("-m", "convarium", "work", view / run_file.relative_to(root))
    assert controller.wait()[:2] == (0, "")
    assert helper.wait()[:2] == (0, "the run is over\n")
    assert count_begun(journal) == dict.fromkeys(STAGE_NAMES, 1)
    assert {record["host"]["name"] for record in Store(root).read_records()} == {"first", "second"}
    assert not any((root / "runs").iterdir())


def _start_two_hosts(start_host: StartHost, folder: Path) -> tuple[Path, Path, list[Host]]:
    """Return the store's folder and the journal, which both hosts see, and the hosts."""
    root, journal = folder / "store", folder / "plain" / "journal"
    root.mkdir()
    journal.parent.mkdir()
    return root, journal, [start_host(name, folders=[root, journal.parent]) for name in ("first", "second")]
