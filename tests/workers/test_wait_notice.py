"""What a worker waits for is said within five seconds, and no longer than it lasts."""

import threading
import time
from pathlib import Path

import pytest

from convarium.host.process import current_process
from convarium.store.store import Store
from convarium.workers import wait_notice
from convarium.workers.lease import LeaseManager
from convarium.workers.run_file import Run
from convarium.workers.wait_notice import WaitNotice
from convarium.workers.worker_process import run_worker
from store.fake_run import make_fake_node, make_fake_plan
from waiting import wait_until


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait_notice, "NOTICE_SECONDS", 0.5)


def test_a_notice_is_written_once_a_wait_has_lasted_and_anew_after_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    printed: list[str] = []
    notice = WaitNotice(tmp_path / "waiting.me", printed.append)
    notice.update(lambda: "for one")
    assert not list(tmp_path.iterdir())
    clock += wait_notice.NOTICE_SECONDS
    notice.update(lambda: "for one")
    assert (tmp_path / "waiting.me").read_text() == "for one"
    notice.clear()
    notice.update(lambda: "for two")
    assert not list(tmp_path.iterdir()), "another wait has begun"
    clock += wait_notice.NOTICE_SECONDS
    notice.update(lambda: "for two")
    assert printed == ["for one", "for two"]


def test_a_second_run_says_whom_it_waits_for(tmp_path: Path, short_wait: None) -> None:
    one = make_fake_node("one")
    run, folder = _begin(tmp_path, "one")
    lease = LeaseManager("another run").take(folder)
    assert lease is not None
    worker = threading.Thread(target=run_worker, args=(run.file, 0))
    worker.start()
    wait_until(lambda: bool(run.read_wait_notices()))
    process = current_process()
    expected = f"waits for {process.host} process {process.pid}, which makes {one.stage} one"
    assert run.read_wait_notices() == [expected]
    lease.release()
    worker.join()
    assert run.read_wait_notices() == []
    assert Store(tmp_path).find_record(one.signature) is not None


def test_the_lease_of_another_host_is_waited_for_with_a_word_on_how_long(tmp_path: Path, short_wait: None) -> None:
    """So is that of a worker that was killed under another host name, and that of a copied store."""
    run, folder = _begin(tmp_path, "one")
    lease = LeaseManager("another run").take(folder)
    assert lease is not None
    lease._ended.set()
    path = folder / "lease.0"
    path.write_bytes(path.read_bytes().replace(b'"host": "', b'"host": "elsewhere-'))
    worker = threading.Thread(target=run_worker, args=(run.file, 0))
    worker.start()
    wait_until(lambda: bool(run.read_wait_notices()))
    (line,) = run.read_wait_notices()
    assert line.startswith(f"waits for elsewhere-{current_process().host} process ")
    assert line.endswith(" one (taken over when nothing was heard of it for 120 s)")
    run.stop()
    worker.join()


def test_workers_that_wait_for_the_same_say_it_once(tmp_path: Path, short_wait: None) -> None:
    run, folder = _begin(tmp_path, "one")
    lease = LeaseManager("another run").take(folder)
    assert lease is not None
    workers = [threading.Thread(target=run_worker, args=(run.file, number)) for number in range(2)]
    for worker in workers:
        worker.start()
    wait_until(lambda: len(list(run.folder.glob("waiting.*"))) == 2)
    assert len(run.read_wait_notices()) == 1
    lease.release()
    for worker in workers:
        worker.join()


def _begin(root: Path, name: str) -> tuple[Run, Path]:
    """Begin a run of one node; return it and the node's folder."""
    store, node = Store(root), make_fake_node(name)
    store.prepare()
    folder = store.folder_of(node)
    folder.mkdir(parents=True)
    return Run.begin(make_fake_plan(node), store, 2), folder
