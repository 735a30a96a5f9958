"""Two hosts that work for one run."""

import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.cluster_run import NOTHING_LEFT, begin_run, count_begun, start_worker
from cluster.conftest import StartHost
from convarium.store.store import Store
from store.fake_run import make_fake_node, make_fake_sweep
from waiting import wait_until

pytestmark = pytest.mark.xdist_group("cluster")
CONTROLLER_CODE = """
import sys; from pathlib import Path; from convarium.workers.local_backend import build_local_backend
from convarium.store.store import Store; from convarium.workers import controller; from store.fake_run import *
plan = make_fake_sweep(Path(sys.argv[2]), width=6, seconds=0.3)
statuses = controller.run_plan(plan, Store(Path(sys.argv[1])), build_local_backend, 2, build_progress_display(True))
print({status.state for status in statuses.values()})
"""


def test_what_takes_times_begins_at_once_on_the_idle_host_and_is_alone_there(
    start_host: StartHost, tmp_path: Path
) -> None:
    root, journal = tmp_path / "store", _make_journal(tmp_path)
    long = make_fake_node("long", journal=journal, epochs=6000, seconds=0.1)
    quick = make_fake_node("quick", journal=journal)
    timed = make_fake_node("timed", [quick], journal=journal, epochs=10, seconds=0.1)
    timed = replace(timed, runtime={**timed.runtime, "alone": True}, work=1e6)
    short = [make_fake_node(f"short-{index}", journal=journal, seconds=0.3) for index in range(300)]
    run = begin_run(root, replace(long, work=1e9), replace(quick, work=1e6), timed, *short)
    busy, idle = (start_host(name, folders=[root, journal.parent]) for name in ("busy", "idle"))
    workers = [start_worker(busy, run, root) for _ in range(2)]
    wait_until(lambda: Store(root).find_record(quick.signature) is not None and count_begun(journal)["long"] == 1)
    time.sleep(2.0)
    assert "timed" not in count_begun(journal), "the host that is busy took times"
    workers += [start_worker(idle, run, root) for _ in range(2)]
    wait_until(lambda: len(_read_records_of(root, "idle")) > 4)
    assert Store(root).find_record(long.signature) is None, "it should have gone on all the while"
    run.stop()
    assert {worker.wait()[0] for worker in workers} == {0}
    first, *others = sorted(_read_records_of(root, "idle"), key=_read_start)
    assert first["name"] == "timed"
    assert all(_read_start(record) >= _read_start(first) + first["seconds"] for record in others)


def test_a_host_that_mounts_the_store_elsewhere_helps(start_host: StartHost, tmp_path: Path) -> None:
    root, journal = tmp_path / "store", _make_journal(tmp_path)
    root.mkdir()
    first, second = (start_host(name, folders=[root, journal.parent]) for name in ("first", "second"))
    elsewhere = second.mount_view(root, seconds=0.0)
    controller = first.start_python("-c", CONTROLLER_CODE, root, journal)
    wait_until(lambda: any(root.glob("runs/*/run.json")))
    (run_file,) = root.glob("runs/*/run.json")
    helper = second.start_python("-m", "convarium", "work", elsewhere / run_file.relative_to(root))
    assert controller.wait()[:2] == (0, "{'done'}\n")
    assert helper.wait()[:2] in ((0, NOTHING_LEFT), (0, "the run is over\n"))
    assert set(count_begun(journal).values()) == {1}
    assert len(count_begun(journal)) == len(make_fake_sweep(width=6).nodes)
    assert {record["host"]["name"] for record in Store(root).read_records()} == {"first", "second"}


def _make_journal(folder: Path) -> Path:
    (folder / "plain").mkdir()
    return folder / "plain" / "journal"


def _read_records_of(root: Path, host: str) -> list[dict[str, Any]]:
    return [record for record in Store(root).read_records() if record["host"]["name"] == host]


def _read_start(record: dict[str, Any]) -> float:
    return datetime.fromisoformat(record["started"]).timestamp()
