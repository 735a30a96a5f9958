"""What all tests share."""

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from command_lines import Call, CliResult, Pretend
from convarium.cli import main
from convarium.compose.points import compose_points
from convarium.host.devices import THREAD_VARIABLES
from convarium.host.provenance import hash_source
from convarium.host.room import FOLDER_VARIABLE
from convarium.planning.plan import Node, Plan
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store

HANDLED_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2, signal.SIGALRM)
SHOWN_LINES = 25  # of a failure, when it comes; all of it is told at the end

logging.raiseExceptions = False  # libraries keep log handlers on streams that pytest closes after a test


def pytest_configure() -> None:
    """One thread for each process: on the small tensors of tests, threads spend their time waiting for one another."""
    _use_one_thread()
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        # What runs the suite in the background, or under nohup, hands ignored signals down to all its children.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)
    # Processes of this test session alone share a room: what runs beside it on this host is no test's business.
    os.environ[FOLDER_VARIABLE] = tempfile.mkdtemp(prefix="convarium-host-")


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(os.environ.pop(FOLDER_VARIABLE), ignore_errors=True)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Tell of a failure at once: a suite that is cut off would never tell."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        end = "\n".join(report.longreprtext.splitlines()[-SHOWN_LINES:])
        print(f"\n{report.nodeid} failed in its {report.when}:\n{end}", file=sys.__stderr__, flush=True)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """A command that ran in the tests' own process leaves its number of threads to no other test."""
    yield
    _use_one_thread()


def _use_one_thread() -> None:
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """A command that ran in the tests' own process leaves signals that it ignores to no other test and its children."""
    handlers = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def import_path_of_children() -> None:
    """A command that ran in the tests' own process must not decide what the children of this one import."""
    os.environ.pop("PYTHONSAFEPATH", None)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(here: Path) -> Callable[[str, str], Path]:
    """Write a file below the current folder."""

    def written(name: str, text: str) -> Path:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return written


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call convarium with arguments; returns exit code, stdout, stderr."""

    def called(*arguments: str) -> CliResult:
        code = main(arguments)
        return code, *capsys.readouterr()

    return called


@pytest.fixture
def pretend(here: Path) -> Pretend:
    """Store the results of a command line as if it had run; returns its plan. `accuracy` by seed."""

    def pretended(line: Sequence[str], root: str = "outputs/store") -> Plan:
        asked = build_plan(compose_points(line).check_points())
        store = Store(here / root)
        store.prepare()
        for index, node in enumerate(asked.nodes.values()):
            folder = store.folder_of(node)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "network.cvm").write_bytes(bytes(1000))
            (folder / "log.txt").write_text(f"log of {node.name}\n")
            (folder / "done.json").write_text(json.dumps(_build_record(node, index)))
        return asked

    return pretended


def _build_record(node: Node, index: int) -> dict[str, object]:
    accuracy = 0.9 + int(node.name.rpartition("-s")[2]) / 100 if node.stage == "measure" else None
    metrics = {"accuracy": accuracy, "file_bytes": 9} if accuracy else {}
    done = {
        "format": 2,
        "signature": node.signature,
        "stage": node.stage,
        "version": node.version,
        "stage_config": node.stage_config,
    }
    rest = {"parents": list(node.parents), "fingerprint": node.fingerprint, "name": node.name, "seconds": 1.5}
    result = {"metrics": metrics, "correct": "ff", "images": 8}
    started = f"2026-01-{index + 1:02}T00:00:00.000+00:00"
    return {**done, **rest, "started": started, "source": hash_source(), "work": 1.0, "result": result}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        (pytest.fail if os.environ.get("BROWSER") == "required" else pytest.skip)(
            "no browser: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    window = webdriver.Chrome(options=options, service=Service(driver))
    yield window
    window.quit()
