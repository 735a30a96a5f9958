"""What lies in the user's folder under a library's name hides the library from no process that is started there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = (
    "random", "json", "typing", "logging", "tempfile", "mlflow", "torch", "numpy", "lightning", "joblib", "uvicorn",
    "flask", "sqlalchemy", "hydra", "yaml", "rich",
)  # fmt: skip
BEGIN = "from convarium.child_process import complete_import_path as begin; begin()\n"
WAYS = {
    "a forked process": BEGIN + "from convarium.workers.fresh_process import run_in_fresh_process;"
    " print(run_in_fresh_process('mine:word'))",
    "a launcher's worker": BEGIN
    + "from joblib import Parallel, delayed; import mine; print(Parallel(2)([delayed(mine.word)()])[0])",
    "a worker of multiprocessing": BEGIN
    + "import multiprocessing, mine\n"
    + "if __name__ == '__main__': print(multiprocessing.get_context('spawn').Pool(1).apply(mine.word))",
    "python -m": BEGIN + "import subprocess, sys; subprocess.run([sys.executable, '-m', 'mine_too'], check=True)",
}


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A folder of files that are called as libraries are, and a module of the user's own."""
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is not the library')\n")
    (tmp_path / "mine.py").write_text("import random\ndef word():\n    return 'found'\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine_too.py").write_text("import random\nprint('found')\n")
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_children_import_what_the_command_imports(way: str, shadowed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(shadowed / "elsewhere")}
    environment.pop("PYTHONSAFEPATH", None)
    (shadowed / "elsewhere/command.py").write_text(WAYS[way])
    done = subprocess.run(
        [sys.executable, "elsewhere/command.py"], cwd=shadowed, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("found\n", 0), done.stderr


def test_python_m_convarium_is_not_broken_either(shadowed: Path) -> None:
    (shadowed / "typing.py").unlink()  # which Python meets before any line of ours
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    done = subprocess.run(
        [sys.executable, "-m", "convarium", "plan", "--fast"], cwd=shadowed, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
