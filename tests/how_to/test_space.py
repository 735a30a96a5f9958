"""docs/how-to/space.md: its files beside each other in a folder, the suite that its space passes, and its command."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from command_lines import HERE

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "space.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files(folder: Path) -> None:
    for name, text in FILE.findall(PAGE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def test_its_space_passes_the_suite(tmp_path: Path) -> None:
    write_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_spaces.py"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_command_searches_the_function_and_what_is_typed(tmp_path: Path) -> None:
    write_files(tmp_path)
    (command,) = re.findall(r"^convarium (.*)$", PAGE, re.MULTILINE)
    done = subprocess.run(
        [sys.executable, "-m", "convarium", *shlex.split(command), *HERE, "--json"],
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout)
    (best,) = summary["best"]
    assert summary["trials"] == 3
    keys = {override.partition("=")[0] for override in best["overrides"]}
    assert {"architecture.kwargs.hidden", "recipe.lr", "recipe.batch_size", "recipe.epochs"} <= keys
