"""What is printed does not decide what a command does: a stream that breaks is left, and the work goes on."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from convarium.store.store import Store
from store.fake_run import SUBPROCESS_ENVIRONMENT

RUN = """
import sys
from pathlib import Path
import convarium.cli.ls
from convarium.cli import main
from convarium.workers.progress import build_progress_display
from store.fake_run import launch_in_processes, make_fake_sweep, run_plan_with

def run(argv):
    run_plan_with(build_progress_display(False), make_fake_sweep(), Path("s"), launch_in_processes)
    print("x" * 100000, flush=True)
    return 0

from convarium.store.store import Store
convarium.cli.ls.main = run
sys.exit(main(["ls"]))
"""
MAIN = "import sys; from convarium.cli import main; sys.exit(main())"
HOW = {
    "no reader": "2>&1 | head -c 1 > head",
    "no reader of stderr": "2> >(head -c 1)",
    "a full disk": "> /dev/full",
    "a full disk for stderr": "2> /dev/full",
    "a full disk for both": "> /dev/full 2>&1",
    "closed": ">&- 2>&- <&-",
    "only stderr closed": "2>&-",
}


class Shell:
    """Runs Python's code with a redirection; tells the exit code of Python itself, and what reached stderr."""

    def __init__(self, here: Path) -> None:
        self.here = here

    def __call__(self, code: str, redirection: str, *arguments: str) -> tuple[int, str]:
        (self.here / "code.py").write_text(code)
        inner = f'"{sys.executable}" code.py "$@"; echo $? > code'
        line = f"( {inner} ) {redirection}"
        done = subprocess.run(
            ["bash", "-c", line, "bash", *arguments],
            cwd=self.here, env=SUBPROCESS_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        return int((self.here / "code").read_text()), done.stderr


@pytest.fixture
def shell(here: Path) -> Shell:
    return Shell(here)


@pytest.mark.parametrize("how", HOW)
def test_a_run_whose_streams_break_does_all_its_work(how: str, shell: Shell) -> None:
    code, stderr = shell(RUN, HOW[how])
    assert (code, len(list(Store(shell.here / "s").read_records()))) == (0, 8)
    assert "Traceback" not in stderr
    assert ("stdout: No space left on device; the output is not complete" in stderr) == (how == "a full disk")


def test_a_terminal_that_closes_ends_no_run_that_does_not_hear_of_it(here: Path) -> None:
    terminal, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env=SUBPROCESS_ENVIRONMENT,
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    assert os.read(terminal, 10)
    os.close(terminal)
    assert process.wait(120) == 0
    assert len(list(Store(here / "s").read_records())) == 8


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize(("command", "code"), [("--help", 0), ("ls --help", 0), ("rum", 2)])
def test_help_and_mistakes_keep_their_exit_code(command: str, code: int, how: str, shell: Shell) -> None:
    found, stderr = shell(MAIN, HOW[how], *command.split())
    assert found == code
    assert "Traceback" not in stderr
    assert "Exception" not in stderr


def test_letters_that_a_stream_lacks_are_no_failure(shell: Shell) -> None:
    code = """
import convarium.cli.ls, sys
from convarium.cli import main
convarium.cli.ls.main = lambda argv: print("5 \\xb5s", "\\udcff") or 0
sys.exit(main(["ls"]))
"""
    assert shell(code, "> out")[0] == 0
    assert (shell.here / "out").read_text() == "5 µs \\udcff\n"


def test_no_file_takes_the_number_of_a_closed_stream(shell: Shell) -> None:
    code = """
import convarium.cli.ls, sys
def take(argv):
    with open("mine", "w") as file:
        print("said"), print("told", file=sys.stderr), sys.stderr.flush()
        return int(file.fileno() < 3)
convarium.cli.ls.main = take
from convarium.cli import main
sys.exit(main(["ls"]))
"""
    assert shell(code, ">&- 2>&- <&-")[0] == 0
    assert (shell.here / "mine").read_text() == ""


def test_a_stage_whose_log_breaks_goes_on(tmp_path: Path) -> None:
    from convarium.workers.output_capture import capture_stage_output

    with capture_stage_output(Path("/dev/full"), whole_process=False):
        print("x" * 100000)
        sys.stderr.write("y")
