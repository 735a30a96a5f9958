"""An open run whose controllers are on other hosts than its workers."""

from pathlib import Path

import pytest

from cluster.cluster_run import count_begun, wait_until
from cluster.conftest import StartHost
from convarium.store.store import Store

pytestmark = pytest.mark.xdist_group("cluster")
CONTROL = ("-m", "cluster.impatient_controller")


def test_a_controller_of_another_host_takes_over_while_the_workers_go_on(start_host: StartHost, tmp_path: Path) -> None:
    root, journal = tmp_path / "store", tmp_path / "plain" / "journal"
    root.mkdir()
    journal.parent.mkdir()
    first, second = (start_host(name, folders=[root, journal.parent]) for name in ("first", "second"))
    elsewhere = second.mount_view(root, seconds=1.0)
    controller = first.start_python(*CONTROL, root, journal)
    wait_until(lambda: len(count_begun(journal)) >= 4)
    successor = second.start_python(*CONTROL, elsewhere, journal)
    (run_folder,) = (root / "runs").iterdir()
    controller.kill()
    wait_until(lambda: not (run_folder / "run.json").exists())
    assert successor.wait() == (0, "", "")
    assert count_begun(journal) == {f"n{index}": 1 for index in range(12)}
    assert {record["host"]["name"] for record in Store(root).read_records()} == {"first"}
    assert len({line.split()[1] for line in journal.read_text().splitlines()}) == 2, "the two workers of before"
    assert not any((root / "runs").iterdir())
