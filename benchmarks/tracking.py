"""MLflow as a view of the store: how long a sync takes, how soon the page shows it, what is lost, what it costs.

usage: python benchmarks/tracking.py            the figures
       python benchmarks/tracking.py FILE STORE  an image of the page on a store

A thousand pipelines (stored as if they had run: 24 epochs of curves, 46 parameters, files of 1.2 kB) are synced to
SQLite, twice (asked: 120 s). MLflow's page on them is opened in chromium until it lists runs, its server warm (asked:
3 s). 32 syncs at once, four of each of eight stores, write to a fresh SQLite file and a fresh PostgreSQL: lost or
double are runs of a network that are not there, not whole or there twice (asked: 0). Last, what logging costs: six
networks are trained by two workers, with and without tracking in turns, and the seconds of their stages are compared
(asked: 1 %); the process that writes runs at idle priority, and its processor seconds stand beside.
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

# Not as `tracking.fake_store`: `tracking` would be this file.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tracking"))
fake_store: Any = import_module("fake_store")
postgres: Any = import_module("postgres")

CONVARIUM = [sys.executable, "-m", "convarium"]
CHAINS = "compression=none,[pruning/magnitude,quantization/kmeans,coding/huffman]"
LARGE_SWEEP = (CHAINS, "compression.magnitude.sparsity=range(0.5,0.995,0.005)", "seed=range(0,10)")
PAGE_OPENINGS = 5  # the first one of a server that has just started, the others of a warm one
STORE_COUNT, SYNC_COUNT = 8, 32
TRAINED_SWEEP = ("architecture=lenet5", "compression=none,magnitude", "seed=range(0,3)", "recipe.epochs=6")
TRAINING_TURNS = 3
COUNT_ROWS = (
    "return [...document.querySelectorAll('[role=row]')].filter(row => row.innerText.includes('mnist5k')).length"
)
COUNT_POINTS = "return document.querySelectorAll('.scatterlayer path.point').length"
CLOSE_DIALOG = "document.querySelector('button[aria-label=Close], button[aria-label=close]')?.click()"
HIDE_CHART_BUTTONS = "document.head.insertAdjacentHTML('beforeend', '<style>.modebar {display: none}</style>')"
PAGE_TIMEOUT_SECONDS = 120.0

TableRow = tuple[str, str, str]  # figure, asked, measured


def measure_large_sync(folder: Path) -> Iterator[TableRow]:
    """Yield the rows of a thousand pipelines: their sync, and their page."""
    store = folder / "store"
    network_count = len(fake_store.store_fake_sweep(store, LARGE_SWEEP).points)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    sync_command = [*CONVARIUM, "sync", f"runtime.store={store}"]
    first_seconds = time_command(sync_command, uri)
    second_seconds = time_command(sync_command, uri)
    yield f"{network_count:,} networks synced to SQLite, files by link", "120 s", f"{first_seconds:.0f} s"
    yield "the same again, nothing to do", "", f"{second_seconds:.1f} s"
    with serve_page(store, uri) as chart_address, open_browser() as browser:
        list_address = f"{chart_address.partition('?')[0]}?orderByKey=metrics.`accuracy`"
        list_seconds = [time_page(browser, list_address, COUNT_ROWS) for _ in range(PAGE_OPENINGS)]
        chart_seconds = time_page(browser, chart_address, COUNT_POINTS)
    yield "the page lists its first hundred runs, server warm", "3 s", f"{median(list_seconds[1:]):.1f} s"
    yield "the page opened for the first time", "", f"{list_seconds[0]:.1f} s"
    yield "accuracy against bytes is drawn", "", f"{chart_seconds:.1f} s"


def time_command(command: Sequence[str], uri: str | None = None) -> float:
    """Return the wall time of a command that must succeed."""
    environment = os.environ | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - started


@contextmanager
def serve_page(store: Path, uri: str) -> Iterator[str]:
    """Run `convarium ui`; give the address of its chart."""
    with socket.create_server(("127.0.0.1", 0)) as free_socket:
        port = str(free_socket.getsockname()[1])
    command = [*CONVARIUM, "ui", "--port", port, "--uri", uri, f"runtime.store={store}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None, "it is a pipe"
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextmanager
def open_browser() -> Iterator[Any]:
    """Start Debian's chromium without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1600,1000",
    ):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def time_page(browser: Any, address: str, script: str) -> float:
    """Open an address; return the seconds until a script finds something in the page."""
    browser.get("about:blank")
    started = time.perf_counter()
    browser.get(address)
    while not browser.execute_script(script):
        assert time.perf_counter() - started < PAGE_TIMEOUT_SECONDS, address
        time.sleep(0.02)
    return time.perf_counter() - started


def measure_concurrent_syncs(folder: Path) -> Iterator[TableRow]:
    """Yield the rows of many syncs at once."""
    stores = [folder / f"store{number}" for number in range(STORE_COUNT)]
    network_count = 0
    for seed, store in enumerate(stores):
        network_count += len(fake_store.store_fake_sweep(store, (*fake_store.SWEEP[:2], f"seed={seed}")).points)
    sqlite_outcome = count_lost_runs(stores, f"sqlite:///{folder / 'many.db'}", network_count)
    yield f"{SYNC_COUNT} syncs at once, fresh SQLite", "0 lost", sqlite_outcome
    figure = f"{SYNC_COUNT} syncs at once, fresh PostgreSQL"
    try:
        cluster = postgres.PostgresCluster()
    except postgres.PostgresUnavailable as reason:
        yield figure, "0 lost", f"not run: {reason}"
        return
    try:
        yield figure, "0 lost", count_lost_runs(stores, cluster.create_database(), network_count)
    finally:
        cluster.stop()


def count_lost_runs(stores: Sequence[Path], uri: str, network_count: int) -> str:
    """Start all syncs at once; return how many networks are lost or double, and how long it took."""
    from convarium.tracking.tracked_runs import read_runs_from_database

    started = time.perf_counter()
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    syncs = []
    for number in range(SYNC_COUNT):
        command = [*CONVARIUM, "sync", f"runtime.store={stores[number % STORE_COUNT]}"]
        syncs.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
    failed_count = sum(sync.wait() != 0 for sync in syncs)
    seconds = time.perf_counter() - started
    index = read_runs_from_database(uri, "convarium")
    complete_count = sum(run.state is not None for run in index.networks.values())
    return (
        f"{network_count - complete_count} lost, {len(index.duplicate_run_ids)} double, {failed_count} failed,"
        f" of {network_count} networks ({seconds:.0f} s)"
    )


def measure_training_cost(folder: Path) -> Iterator[TableRow]:
    """Yield the rows of what logging costs."""
    untracked: list[tuple[float, float]] = []
    tracked: list[tuple[float, float]] = []
    for turn in range(TRAINING_TURNS):
        untracked.append(train_sweep(folder / f"untracked{turn}" / "store"))
        tracked.append(train_sweep(folder / f"tracked{turn}" / "store", "tracking=mlflow"))
    stage_pairs = [(before, after) for (before, _), (after, _) in zip(untracked, tracked, strict=True)]
    percents = [100 * (after / before - 1) for before, after in stage_pairs]
    turns = ", ".join(f"{percent:+.1f}" for percent in percents)
    untracked_seconds = median(stage_seconds for stage_seconds, _ in untracked)
    measured = f"{median(percents):+.1f} % of {untracked_seconds:.0f} s (turns: {turns})"
    yield "seconds of training stages, with tracking more than without", "at most 1 %", measured
    extra_seconds = median(seconds for _, seconds in tracked) - median(seconds for _, seconds in untracked)
    yield "processor seconds of all processes, more", "", f"{extra_seconds:+.1f} s, at idle priority"


def train_sweep(store: Path, *tracking_overrides: str) -> tuple[float, float]:
    """Train; return the seconds of all training stages, and the processor seconds of all processes."""
    runtime = [f"runtime.store={store}", "runtime.workers=2", "runtime.threads=1"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    time_command([*CONVARIUM, "run", *TRAINED_SWEEP, *runtime, *tracking_overrides])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = [json.loads(file.read_text()) for file in store.glob("*/*/done.json")]
    stage_seconds = sum(record["seconds"] for record in records if record["stage"] in ("train", "compress"))
    return stage_seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def save_page_image(file: Path, store: Path) -> None:
    """Write an image of the page's chart on a store."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serve_page(store, f"sqlite:///{folder}/mlflow.db") as address,
        open_browser() as browser,
    ):
        time_page(browser, address, COUNT_POINTS)
        browser.execute_script(CLOSE_DIALOG)
        browser.execute_script(HIDE_CHART_BUTTONS)
        time.sleep(3)
        browser.save_screenshot(str(file))


def main() -> None:
    """Print the table, or write an image."""
    if len(sys.argv) == 3:
        save_page_image(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    print("| figure | asked | measured |\n|---|---|---|")
    parts: list[Callable[[Path], Iterator[TableRow]]] = [
        measure_large_sync,
        measure_concurrent_syncs,
        measure_training_cost,
    ]
    for measure_part in parts:
        with tempfile.TemporaryDirectory() as folder:
            for row in measure_part(Path(folder)):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
