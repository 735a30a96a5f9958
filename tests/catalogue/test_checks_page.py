"""The page of the checks is made by one command, and keeps what fails and what was not made in sight."""

import json
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from convarium.cli.catalogue import load_checks

ROOT = Path(__file__).parents[2]
Run = Callable[..., tuple[int, str]]
FOUND: dict[str, Any] = {"figure": 33.0, "accuracy_delta_pp": -0.7, "signatures": ["0123456789ab"]}
HOLDS = {**FOUND, "holds": True, "missed": []}
FAILS = {**FOUND, "holds": False, "missed": ["at most 0.5 pp lost (lost 0.70)"]}


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark, which keeps verdicts in a file of the test's."""
    spec = spec_from_file_location("checks_page", ROOT / "benchmarks" / "checks.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "checks_page", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "KEPT", tmp_path / "verdicts.json")
    module.KEPT.write_text("{}\n", encoding="utf-8")
    return module


@pytest.fixture
def run(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run it with verdicts in the place of sweeps; returns exit code and page."""

    def ran(verdicts: dict[str, Any], *arguments: str) -> tuple[int, str]:
        made = tmp_path / "checks.md"
        monkeypatch.setattr(script, "made", lambda name, overrides: verdicts.get(name))
        monkeypatch.setattr(sys, "argv", ["checks.py", *arguments, "--output", str(made)])
        return script.main(), made.read_text(encoding="utf-8")

    return ran


def test_what_holds_fails_or_could_not_be_made_is_told(
    run: Run, script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "build_catalogue_row", lambda row, check, store: {"ours": None})
    code, page = run({name: HOLDS for name in load_checks() if name != "kd"} | {"bwn": FAILS, "kd": None})
    assert code == 1
    assert page.startswith("# Checks\n\nMade by `.venv/bin/python benchmarks/checks.py --keep ")
    assert f"{len(load_checks()) - 2} hold, 1 fail, 1 are not measured" in page
    assert "| `kd` | pp of test accuracy gained | 0.72 | not measured |" in page
    (bwn,) = [line for line in page.splitlines() if line.startswith("| `bwn`")]
    assert bwn == (
        "| `bwn` | times fewer bytes | 32 | 33 | -0.70 | `ratio>=29`, at most 0.5 pp lost "
        "| **fails**: at most 0.5 pp lost (lost 0.70) | `0123456789ab` |"
    )
    assert all(f"| `{name}` |" in page and f"- `{name}`: " in page for name in load_checks())


def test_a_kept_verdict_has_its_check_and_nothing_of_this_machine(run: Run, script: ModuleType) -> None:
    ours = {**HOLDS, "from": "store", "overrides": ["dataset.root=/somewhere"]}
    assert run(dict.fromkeys(load_checks(), ours), "--keep")[0] == 0
    kept = json.loads(script.KEPT.read_text(encoding="utf-8"))
    assert kept == {name: {**HOLDS, "check": check} for name, check in load_checks().items()}


def test_a_check_that_could_not_be_made_keeps_its_verdict(run: Run, script: ModuleType) -> None:
    run({"bwn": HOLDS}, "--keep")
    run({"kd": FAILS}, "--keep")
    kept = json.loads(script.KEPT.read_text(encoding="utf-8"))
    assert {name: found["holds"] for name, found in kept.items()} == {"bwn": True, "kd": False}


def test_the_page_in_the_docs_is_that_of_the_kept_verdicts(run: Run) -> None:
    code, page = run({}, "--stored")
    assert code == 0
    assert page == (ROOT / "docs/results/checks.md").read_text(encoding="utf-8")
