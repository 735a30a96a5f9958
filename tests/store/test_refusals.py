"""A folder that can't be read or written to is its stage's failure: the others go on, and exit codes say so."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.errors import UserError
from convarium.store.lease import Leases
from convarium.store.store import Store
from open_folder import open_to_all
from store.fake_run import ENVIRONMENT, in_processes, in_this_thread, node, plan, run

TWO = [node("bad"), node("good")]
CHILD = node("child", [TWO[0]])


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
@pytest.mark.parametrize("launch", [in_processes, in_this_thread])
def test_what_is_wrong_with_one_folder_fails_its_stage_only(
    spoil: Callable[[Path], None], said: str, mistake: bool, launch: Callable[..., None], tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    spoil(Store(root).folder(TWO[0]))
    statuses = run(plan(*TWO, CHILD), root, launch, workers=2)
    assert [statuses[one.signature].state for one in (*TWO, CHILD)] == ["failed", "done", "blocked"]
    failed = statuses[TWO[0].signature]
    assert failed.error is not None
    assert str(Store(root).folder(TWO[0])) in failed.error
    assert said in failed.error
    assert failed.mistake == mistake
    assert not list((root / "runs").iterdir())


def test_a_stage_that_has_no_folder_fails_and_others_go_on(tmp_path: Path) -> None:
    other = node("other", stage="echo")
    (tmp_path / Store(tmp_path).folder(other).parent.name).write_text("mine")
    statuses = run(plan(TWO[1], other), tmp_path, in_processes)
    assert [statuses[one.signature].state for one in (TWO[1], other)] == ["done", "failed"]
    assert statuses[other.signature].mistake


def test_a_folder_that_is_put_right_is_gone_on_with(tmp_path: Path) -> None:
    folder = Store(tmp_path).folder(TWO[0])
    _be_a_file(folder)
    assert run(plan(*TWO), tmp_path, in_processes)[TWO[0].signature].state == "failed"
    folder.unlink()
    assert run(plan(*TWO), tmp_path, in_processes)[TWO[0].signature].state == "done"


@pytest.mark.parametrize("name", ["plans", "runs"])
def test_a_file_where_the_store_needs_a_folder_is_the_users_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=rf"can't write to the store .*: Not a directory \(.*/{name}\)"):
        run(plan(*TWO), tmp_path, in_processes)


@pytest.mark.parametrize("text", ["{", "[]", '{"id": 3}', None])
def test_what_another_run_left_damaged_stops_none(text: str | None, tmp_path: Path) -> None:
    left = tmp_path / "runs" / ("0" * 16) / "run.json"
    left.parent.mkdir(parents=True)
    left.write_text(text) if text else left.mkdir()
    assert {status.state for status in run(plan(*TWO), tmp_path, in_processes).values()} == {"done"}
    assert left.exists()


ANOTHER = """
import json, os, sys
from pathlib import Path
from store.fake_run import *
run(plan(node("first")), Path(sys.argv[1]).with_name("first"), in_this_thread, 1)  # imports what is not for all users
os.umask(0o022)
os.setgroups([])
os.setgid(4321)
os.setuid(4321)
good, bad = node("good"), node("bad")
statuses = run(plan(bad, good), Path(sys.argv[1]), in_this_thread, 1)
print(json.dumps([(status.state, status.error, status.mistake) for status in statuses.values()]))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o000])
@pytest.mark.parametrize("leased", [True, False])
def test_what_another_user_left_unwritable_fails_its_stage_only(mode: int, leased: bool, open_path: Path) -> None:
    root = open_path / "store"
    store = Store(root)
    store.prepare()
    folder = store.folder(TWO[0])
    folder.mkdir(parents=True)
    for place in (root, folder.parent):
        place.chmod(0o777)
    if leased:
        lease = Leases("another").take(folder)
        assert lease is not None
        lease.release()
    folder.chmod(mode)
    code = [sys.executable, "-c", ANOTHER, str(root)]
    done = subprocess.run(code, env=ENVIRONMENT, capture_output=True, text=True, check=True, cwd="/")
    (bad, good) = json.loads(done.stdout)
    assert good == ["done", None, False]
    assert bad[0] == "failed"
    assert str(folder) in bad[1]
    assert "Permission denied" in bad[1]
    assert not bad[2]


@pytest.fixture
def open_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every user may come to and write into."""
    return open_to_all(tmp_path_factory.mktemp("open"))
