"""The kernel's count of what it has killed for want of memory."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from convarium.host.memory_kills import MemoryKills, has_killed_since, read_memory_kills
from store.fake_run import SUBPROCESS_ENVIRONMENT

LAYOUTS = {
    "version 2": ("0::/user/shell", "sys/fs/cgroup/user/shell/memory.events"),
    "version 2, of a container": ("0::/docker/12", "sys/fs/cgroup/memory.events"),
    "version 1": ("0::/\n4:cpu,memory:/job", "sys/fs/cgroup/memory/job/memory.oom_control"),
    "version 1, of a container": ("4:memory:/docker/12", "sys/fs/cgroup/memory/memory.oom_control"),
}
MEMORY_MOUNT = Path("/sys/fs/cgroup/memory")  # of version 1, where a group can be made without more ado
LIMIT_BYTES = 256 << 20
# Joins the group that it is told of, reads the count, and forks a child that takes more memory than there is.
FALL = """
import os, sys
from pathlib import Path
from convarium.host.memory_kills import has_killed_since, read_memory_kills
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
before = read_memory_kills()
child = os.fork()
if child == 0:
    blocks = [bytearray(os.urandom(1 << 20)) for _ in range(512)]
    os._exit(0)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), has_killed_since(before))
"""

# Joins the group that it is told of, and has two workers make a stage that takes more memory than there is.
RUN = """
import os, sys
from pathlib import Path
from convarium.store.store import Store
from convarium.workers.controller import run_plan
from convarium.workers.local_backend import LocalBackend
from convarium.workers.progress import build_progress_display
from store.fake_run import make_fake_node, make_fake_plan
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
plan = make_fake_plan(make_fake_node("large", stage="fail", how="grow"))
(status,) = run_plan(plan, Store(Path(sys.argv[2])), LocalBackend, 2, build_progress_display(True)).values()
print(status.cause, status.error, sep=": ")
"""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_count_of_the_own_control_group_is_read(layout: str, tmp_path: Path) -> None:
    groups, name = LAYOUTS[layout]
    _write(tmp_path / "proc/self/cgroup", groups + "\n")
    file = _write(tmp_path / name, "low 0\nunder_oom 0\noom_kill 2\n")
    before = read_memory_kills(tmp_path)
    assert before == MemoryKills(file.parent.stat().st_ino, 2)
    assert not has_killed_since(before, tmp_path)
    file.write_text("oom_kill 3\n")
    assert has_killed_since(before, tmp_path)
    assert not has_killed_since(MemoryKills(before.group + 1, 2), tmp_path), "that is another group's count"


def test_where_there_is_no_count_nothing_is_known(tmp_path: Path) -> None:
    assert read_memory_kills(tmp_path) is None
    _write(tmp_path / "proc/self/cgroup", "0::/\n")
    assert read_memory_kills(tmp_path) is None
    assert not has_killed_since(None)


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group whose processes may have little memory."""
    group = MEMORY_MOUNT / f"convarium-test-{uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield group
    group.rmdir()


def test_a_process_that_the_kernel_kills_for_want_of_memory_is_counted(small_group: Path) -> None:
    command = [sys.executable, "-c", FALL, str(small_group)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == f"{-signal.SIGKILL} True\n", done.stderr


def test_a_stage_whose_workers_the_kernel_kills_for_want_of_memory_says_so(small_group: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(small_group), str(tmp_path / "store")]
    done = subprocess.run(command, env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.startswith("out of memory: large: its processes were lost 3 times"), done.stdout + done.stderr
    assert "out of memory, killed by the kernel" in done.stdout


def _write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file
