"""A folder that can't be read or written to is its stage's failure: the others go on, and exit codes say so."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.store.store import Store
from convarium.workers.lease import LeaseManager
from shared_folder import make_world_writable
from store.fake_run import (
    SUBPROCESS_ENVIRONMENT,
    launch_in_processes,
    launch_in_thread,
    make_fake_node,
    make_fake_plan,
    run_plan_silently,
)

TWO = [make_fake_node("bad"), make_fake_node("good")]
CHILD = make_fake_node("child", [TWO[0]])


def _refuse_record(folder: Path) -> None:
    (folder / "done.json").mkdir(parents=True)


def _refuse_failure(folder: Path) -> None:
    (folder / "failed.json").mkdir(parents=True)


def _damage(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "done.json").write_text('{"format": 2')


def _be_a_file(folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("mine")


def _be_a_dangling_link(folder: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("spoil", "said", "mistake"),
    [
        (_refuse_record, "done.json: Is a directory", False),
        (_refuse_failure, "failed.json: Is a directory", False),
        (_damage, "done.json is damaged: ", True),
        (_be_a_file, ": Not a directory; move it away", True),
        (_be_a_dangling_link, ": A link that leads nowhere; move it away", True),
    ],
)
@pytest.mark.parametrize("launch", [launch_in_processes, launch_in_thread])
def test_what_is_wrong_with_one_folder_fails_its_stage_only(
    spoil: Callable[[Path], None], said: str, mistake: bool, launch: Callable[..., None], tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    spoil(Store(root).folder_of(TWO[0]))
    statuses = run_plan_silently(make_fake_plan(*TWO, CHILD), root, launch, workers=2)
    assert [statuses[one.signature].state for one in (*TWO, CHILD)] == ["failed", "done", "blocked"]
    failed = statuses[TWO[0].signature]
    assert failed.error is not None
    assert str(Store(root).folder_of(TWO[0])) in failed.error
    assert said in failed.error
    assert failed.mistake == mistake
    assert not list((root / "runs").iterdir())


def test_a_stage_that_has_no_folder_fails_and_others_go_on(tmp_path: Path) -> None:
    other = make_fake_node("other", stage="echo")
    (tmp_path / Store(tmp_path).folder_of(other).parent.name).write_text("mine")
    statuses = run_plan_silently(make_fake_plan(TWO[1], other), tmp_path, launch_in_processes)
    assert [statuses[one.signature].state for one in (TWO[1], other)] == ["done", "failed"]
    assert statuses[other.signature].mistake


def test_a_folder_that_is_put_right_is_gone_on_with(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder_of(TWO[0])
    _be_a_file(folder)
    assert run_plan_silently(make_fake_plan(*TWO), tmp_path, launch_in_processes)[TWO[0].signature].state == "failed"
    folder.unlink()
    assert run_plan_silently(make_fake_plan(*TWO), tmp_path, launch_in_processes)[TWO[0].signature].state == "done"


@pytest.mark.parametrize("name", ["plans", "runs"])
def test_a_file_where_the_store_needs_a_folder_is_the_users_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=rf"can't write to the store .*: Not a directory \(.*/{name}\)"):
        run_plan_silently(make_fake_plan(*TWO), tmp_path, launch_in_processes)


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 3}', None])
def test_what_another_run_left_damaged_stops_none(text: str | None, tmp_path: Path) -> None:
    left = tmp_path / "runs" / ("0" * 16) / "run.json"
    left.parent.mkdir(parents=True)
    left.write_text(text) if text else left.mkdir()
    assert {
        status.state for status in run_plan_silently(make_fake_plan(*TWO), tmp_path, launch_in_processes).values()
    } == {"done"}
    assert left.exists()


ANOTHER = """
import json, os, sys
from pathlib import Path
from store.fake_run import *
first = Path(sys.argv[1]).with_name("first")
run_plan_silently(make_fake_plan(make_fake_node("first")), first, launch_in_thread, 1)  # warms the imports up
os.umask(0o022)
os.setgroups([])
os.setgid(4321)
os.setuid(4321)
good, bad = make_fake_node("good"), make_fake_node("bad")
statuses = run_plan_silently(make_fake_plan(bad, good), Path(sys.argv[1]), launch_in_thread, 1)
print(json.dumps([(status.state, status.error, status.mistake) for status in statuses.values()]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o000])
@pytest.mark.parametrize("leased", [True, False])
def test_what_another_user_left_unwritable_fails_its_stage_only(mode: int, leased: bool, open_path: Path) -> None:
    root = open_path / "store"
    store = Store(root)
    store.prepare()
    folder = store.folder_of(TWO[0])
    folder.mkdir(parents=True)
    for place in (root, folder.parent):
        place.chmod(0o777)
    if leased:
        lease = LeaseManager("another").take(folder)
        assert lease is not None
        lease.release()
    folder.chmod(mode)
    code = [sys.executable, "-c", ANOTHER, str(root)]
    done = subprocess.run(code, env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, check=True, cwd="/")
    (bad, good) = json.loads(done.stdout)
    assert good == ["done", None, False]
    assert bad[0] == "failed"
    assert str(folder) in bad[1]
    assert "Permission denied" in bad[1]
    assert not bad[2]


@pytest.fixture
def open_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every user may come to and write into."""
    return make_world_writable(tmp_path_factory.mktemp("open"))
