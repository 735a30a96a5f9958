import logging
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from convarium.workers.output_capture import capture_stage_output


def test_a_log_gets_prints_logs_and_warnings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with capture_stage_output(tmp_path / "log", whole_process=False):
        print("printed")
        print("to stderr", file=sys.stderr)
        logging.getLogger("somebody").info("logged")
        warnings.warn("warned", stacklevel=1)
    print("after")
    text = (tmp_path / "log").read_text()
    for word in ("printed", "to stderr", "INFO somebody: logged", "warned"):
        assert word in text
    assert capsys.readouterr() == ("after\n", "")


def test_the_whole_process_is_heard_below_python_too(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib; from convarium.workers.output_capture import capture_stage_output\n"
        "with capture_stage_output(pathlib.Path(sys.argv[1]), True): os.write(1, b'from C'); os.system('echo child')\n"
        "print('after')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "after\n"
    assert (tmp_path / "log").read_text() == "from Cchild\n"


def test_a_library_that_keeps_the_stream_writes_to_the_log_of_the_stage_that_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_stage_output(tmp_path / "first", whole_process=False):
        kept = sys.stderr
    with capture_stage_output(tmp_path / "second", whole_process=False):
        print("second", file=kept)
    print("between", file=kept)
    assert (tmp_path / "first").read_text() == ""
    assert (tmp_path / "second").read_text() == "second\n"
    assert capsys.readouterr().err == "between\n"


def test_the_log_is_continued_after_a_kill(tmp_path: Path) -> None:
    for word in ("one", "two"):
        with capture_stage_output(tmp_path / "log", whole_process=False):
            print(word)
    assert (tmp_path / "log").read_text() == "one\ntwo\n"
