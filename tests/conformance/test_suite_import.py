"""The suites of an outside package fail with the values of what they compare, in whichever order they are imported."""

import subprocess
import sys
from pathlib import Path

import pytest

TEST_FILE = """
from convarium.conformance.{first} import *
from convarium.conformance import ArchitectureSuite, DatasetSuite, EditSuite

def test_every_module_is_rewritten():
    import sys
    for suite in (ArchitectureSuite, DatasetSuite, EditSuite):
        loader = sys.modules[suite.__module__].__loader__
        assert type(loader).__name__ == "AssertionRewritingHook", suite
"""


@pytest.mark.parametrize("first", ["edit", "compression_trial", "dataset"])
def test_assertions_are_rewritten_without_a_warning(first: str, tmp_path: Path) -> None:
    (tmp_path / "test_suites.py").write_text(TEST_FILE.format(first=first))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error::pytest.PytestWarning"]
    done = subprocess.run([*command, "test_suites.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
