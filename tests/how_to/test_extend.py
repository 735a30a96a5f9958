"""docs/how-to/extend.md: a package that is built from the page, installed, tested, and run, command by command."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from command_lines import HERE

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "extend.md").read_text(encoding="utf-8")
FILE = re.compile(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OFFLINE = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")


@dataclass(frozen=True)
class Outside:
    """A folder with the page's package, and where it is installed."""

    source: Path
    target: Path

    def call(self, *command: str, code: int = 0, work: Path | None = None) -> str:
        """Run a command with the package on the path; return what it printed."""
        environment = {**os.environ, "PYTHONPATH": str(self.target), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=work or self.source, env=environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout


def commands() -> list[list[str]]:
    block = PAGE.partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line) for line in block.splitlines()]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Outside:
    folder = tmp_path_factory.mktemp("extend")
    found = Outside(folder / "package", folder / "installed")
    for name, text in FILE.findall(PAGE):
        path = found.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert commands()[0] == ["pip", "install", "."]
    found.call("pip", "install", *OFFLINE, "--target", str(found.target), ".")
    return found


def test_its_tests_pass(outside: Outside) -> None:
    assert commands()[1] == ["python", "-m", "pytest", "tests"]
    output = outside.call(
        "pytest", "tests", "-q", "--strict-markers", "-p", "no:cacheprovider", "--import-mode=importlib"
    )
    assert re.search(r"\d+ passed, .*\d+ deselected", output.splitlines()[-1]), "one network is left to the nightly run"


def test_a_run_with_its_network_its_images_and_its_method(outside: Outside, tmp_path: Path) -> None:
    signature = ""
    for _, *arguments in commands()[2:]:
        given = [signature if text == "SIGNATURE" else text for text in arguments]
        if arguments[0] == "export":
            given.append("runtime.store=store")
        else:
            given += ["--json", *(HERE if arguments[0] != "measure" else ())]
        out = outside.call("convarium", *given, work=tmp_path)
        if arguments[0] == "run":
            dense, halves = json.loads(out)["runs"]
            assert (dense["status"], halves["status"]) == ("done", "done")
            assert dense["metrics"]["accuracy"] > 0.9
            assert halves["metrics"]["accuracy"] > 0.9
            assert halves["metrics"]["file_bytes"] < 0.75 * dense["metrics"]["file_bytes"]
            signature = halves["signature"]
        if arguments[0] == "measure":
            assert json.loads(out)["metrics"]["accuracy"] == halves["metrics"]["accuracy"]
    strangers_file(outside, tmp_path)


def strangers_file(outside: Outside, folder: Path) -> None:
    """Nothing of the package is imported for a file, unless it is allowed."""
    read = "import sys, convarium; convarium.load('stripes.cvm', allow=sys.argv[1:])"
    code = f"try:\n    {read}\nexcept ValueError as error:\n    print(error)\nprint('acme' in sys.modules)"
    (folder / "read.py").write_text(code)
    refused, imported = outside.call("read", work=folder).splitlines()
    assert "acme is not allowed here" in refused
    assert imported == "False"
    assert outside.call("read", "acme", work=folder) == "True\n"
