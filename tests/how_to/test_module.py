"""docs/how-to/module.md: its files beside each other in a folder, its commands one after the other, each a process."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "module.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:^`([\w./]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HERE = ("hydra/launcher=basic", "runtime.workers=1", "runtime.threads=1", "--json")
MOST_LINES = 25


def call(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_module_trains_is_compressed_exported_and_read(tmp_path: Path) -> None:
    signature = ""
    for name, language, text in BLOCK.findall(PAGE):
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text, encoding="utf-8")
        elif language == "py":
            call(tmp_path, "-c", text)
        else:
            for line in text.splitlines():
                words = shlex.split(line.replace("SIGNATURE", signature))
                told = call(tmp_path, "-m", *words, *(HERE if words[1] == "run" else ()))
                if words[1] == "run":
                    runs = json.loads(told)["runs"]
                    assert [run["status"] for run in runs] == ["done", "done"]
                    signature = runs[-1]["signature"]


def test_it_is_as_short_as_it_is_promised_to_be() -> None:
    (code,) = [text for name, _, text in BLOCK.findall(PAGE) if name == "my_nets.py"]
    assert len(code.splitlines()) <= MOST_LINES
