"""MLflow's page on a synced store, in a browser; and the server that serves it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from convarium.store.store import Store
from convarium.tracking.tracker_sync import TrackerSync

pytestmark = pytest.mark.xdist_group("mlflow")
SECONDS = 90


@dataclass(frozen=True)
class Served:
    """A running `convarium ui`."""

    process: "subprocess.Popen[str]"
    address: str

    @property
    def root(self) -> str:
        """The server's own address."""
        return self.address.partition("/#")[0]


@pytest.fixture(scope="module")
def served(synced: TrackerSync, stored: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The page on the synced store, opened in a folder whose files are called as libraries are."""
    here = tmp_path_factory.mktemp("here")
    for name in ("random", "mlflow", "uvicorn", "flask"):
        (here / f"{name}.py").write_text("raise ImportError('this is not the library')\n")
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = opened.getsockname()[1]
    command = [sys.executable, "-m", "convarium", "ui", "--port", str(port), "--uri", synced.uri]
    pipe = subprocess.PIPE
    process = subprocess.Popen([*command, f"runtime.store={stored}"], stdout=pipe, stderr=pipe, text=True, cwd=here)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert "http://" in line, process.communicate(timeout=60)
    yield Served(process, line.split()[2])
    process.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        (pytest.fail if os.environ.get("BROWSER") == "required" else pytest.skip)(
            "no browser: apt-get install chromium chromium-driver"
        )
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1600,900",
    ):
        options.add_argument(argument)
    window = webdriver.Chrome(options=options, service=Service(driver))
    yield window
    window.quit()


def shown(browser: Any, script: str, is_right: Callable[[Any], bool]) -> Any:
    """Return what a script finds in the page, once it is right."""
    until = time.monotonic() + SECONDS
    while not is_right(found := browser.execute_script(f"return {script}")):
        assert time.monotonic() < until, found
        time.sleep(0.2)
    return found


def test_the_page_draws_accuracy_against_bytes_of_all_pipelines(served: Served, browser: Any, tmp_path: Path) -> None:
    browser.get(served.address)
    charts = "[...document.querySelectorAll('.js-plotly-plot')]"
    titles = f"{charts}.map(c => [c.layout.xaxis.title.text, c.layout.yaxis.title.text].join(' '))"
    assert "file_bytes accuracy" in shown(browser, titles, lambda found: bool(found))
    points = f"{charts}[0].querySelectorAll('.scatterlayer path.point').length"
    assert shown(browser, points, lambda count: count == 6)
    assert browser.save_screenshot(str(tmp_path / "mlflow.png"))


def test_the_page_lists_runs_by_the_names_that_people_use(served: Served, browser: Any) -> None:
    browser.get(f"{served.root}/#/experiments/1/runs?orderByKey=metrics.`accuracy`")
    text = shown(browser, "document.body.innerText", lambda text: "magnitude 0.9 → kmeans 5 s1" in text)
    assert "lenet5 mnist5k magnitude 0.8 → kmeans 5 s0" in text


def test_a_run_shows_its_plots(served: Served, browser: Any, told: dict[str, Any]) -> None:
    run = told["lenet5 mnist5k magnitude 0.9 → kmeans 5 s0"].info.run_id
    browser.get(f"{served.root}/#/experiments/1/runs/{run}/artifacts/curves.svg")
    images = "[...document.querySelectorAll('img')].filter(i => i.naturalWidth == 720).length"
    assert shown(browser, images, lambda count: count >= 1)


def test_a_server_gets_everything_files_too(served: Served, stored: Path, tmp_path: Path) -> None:
    from mlflow.client import MlflowClient

    for expected in ((6, 0), (0, 6)):
        sync = TrackerSync(Store(stored), served.root, "sent")
        counts = sync.run()
        assert (counts.added, counts.same) == expected
    client = MlflowClient(served.root)
    found = client.search_runs([sync.tracker.experiment_id], "tags.`convarium.kind` = 'pipeline'")
    assert len(found) == 4
    assert {file.path for file in client.list_artifacts(found[0].info.run_id)} >= {"network.cvm", "curves.svg", "logs"}
    network = stored.glob(f"compress/*-{found[0].data.tags['convarium.signature']}/network.cvm")
    sent = client.download_artifacts(found[0].info.run_id, "network.cvm", str(tmp_path))
    assert Path(sent).read_bytes() == next(network).read_bytes()


def test_ctrl_c_ends_the_page_and_its_server(served: Served) -> None:
    served.process.send_signal(signal.SIGINT)
    _, err = served.process.communicate(timeout=30)
    assert served.process.returncode == 0
    assert "the page is closed" in err
    with socket.create_server(("127.0.0.1", int(served.root.rpartition(":")[2]))):
        pass
