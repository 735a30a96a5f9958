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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "tracking"))

made_up: Any = import_module("made_up")
private: Any = import_module("cluster")
CONVARIUM = [sys.executable, "-m", "convarium"]
CHAIN = "compression=none,[pruning/magnitude,quantization/kmeans,coding/huffman]"
THOUSAND = (CHAIN, "compression.magnitude.sparsity=range(0.5,0.995,0.005)", "seed=range(0,10)")
STORES, SYNCS = 8, 32
TRAINED = ("architecture=lenet5", "compression=none,magnitude", "seed=range(0,3)", "recipe.epochs=6")
TURNS = 3
OPENED = 5
ROWS = "return [...document.querySelectorAll('[role=row]')].filter(row => row.innerText.includes('mnist5k')).length"
POINTS = "return document.querySelectorAll('.scatterlayer path.point').length"
PATIENCE = 120.0


def timed(command: Sequence[str], uri: str | None = None) -> tuple[float, str]:
    """Return the wall time and the output of a command that must succeed."""
    environment = os.environ | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, done.stdout


def thousand(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of a thousand pipelines: their sync, and their page."""
    store = folder / "store"
    networks = len(made_up.sweep(store, THOUSAND).points)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    first, second = (timed([*CONVARIUM, "sync", f"runtime.store={store}"], uri)[0] for _ in range(2))
    yield f"{networks:,} networks synced to SQLite, files by link", "120 s", f"{first:.0f} s"
    yield "the same again, nothing to do", "", f"{second:.1f} s"
    with served(store, uri) as address, browser() as window:
        lists = f"{address.partition('?')[0]}?orderByKey=metrics.`accuracy`"
        opened = [seconds_until(window, lists, ROWS) for _ in range(OPENED)]
        drawn = seconds_until(window, address, POINTS)
    yield "the page lists its first hundred runs, server warm", "3 s", f"{median(opened[1:]):.1f} s"
    yield "the page opened for the first time", "", f"{opened[0]:.1f} s"
    yield "accuracy against bytes is drawn", "", f"{drawn:.1f} s"


@contextmanager
def served(store: Path, uri: str) -> Iterator[str]:
    """Serve the page; give the address of its chart."""
    with socket.create_server(("127.0.0.1", 0)) as opened:
        port = str(opened.getsockname()[1])
    command = [*CONVARIUM, "ui", "--port", port, "--uri", uri, f"runtime.store={store}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """Debian's chromium, without a window."""
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
    window = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield window
    finally:
        window.quit()


def seconds_until(window: Any, address: str, script: str) -> float:
    """Open an address; return how long it takes until a script finds something in the page."""
    window.get("about:blank")
    start = time.perf_counter()
    window.get(address)
    while not window.execute_script(script):
        assert time.perf_counter() - start < PATIENCE, address
        time.sleep(0.02)
    return time.perf_counter() - start


def at_once(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of many syncs at once."""
    stores = [folder / f"store{seed}" for seed in range(STORES)]
    points = [len(made_up.sweep(store, (*made_up.SWEEP[:2], f"seed={n}")).points) for n, store in enumerate(stores)]
    yield f"{SYNCS} syncs at once, fresh SQLite", "0 lost", lost(stores, f"sqlite:///{folder / 'many.db'}", sum(points))
    try:
        cluster = private.Cluster()
    except private.Absent as reason:
        yield f"{SYNCS} syncs at once, fresh PostgreSQL", "0 lost", f"not run: {reason}"
        return
    try:
        yield f"{SYNCS} syncs at once, fresh PostgreSQL", "0 lost", lost(stores, cluster.fresh(), sum(points))
    finally:
        cluster.stop()


def lost(stores: Sequence[Path], uri: str, expected: int) -> str:
    """Start all syncs; return how many networks are lost or double, and how long it took."""
    from convarium.tracking.tracked_runs import read_runs_from_database

    start, environment = time.perf_counter(), os.environ | {"MLFLOW_TRACKING_URI": uri}
    syncs = [
        subprocess.Popen(
            [*CONVARIUM, "sync", f"runtime.store={stores[n % STORES]}"], env=environment, stdout=subprocess.DEVNULL
        )
        for n in range(SYNCS)
    ]
    failed = sum(sync.wait() != 0 for sync in syncs)
    found = read_runs_from_database(uri, "convarium")
    whole = sum(known.state is not None for known in found.networks.values())
    took = time.perf_counter() - start
    return (
        f"{expected - whole} lost, {len(found.duplicate_run_ids)} double, {failed} failed, of {expected}"
        f" networks ({took:.0f} s)"
    )


def cost(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the rows of what logging costs."""
    bare: list[tuple[float, float]] = []
    tracked: list[tuple[float, float]] = []
    for turn in range(TURNS):
        bare.append(trained(folder / f"bare{turn}" / "store"))
        tracked.append(trained(folder / f"tracked{turn}" / "store", "tracking=mlflow"))
    ratios = [100 * (with_it[0] / without[0] - 1) for without, with_it in zip(bare, tracked, strict=True)]
    stages = median(one[0] for one in bare)
    told = f"{median(ratios):+.1f} % of {stages:.0f} s (turns: {', '.join(f'{ratio:+.1f}' for ratio in ratios)})"
    yield "seconds of training stages, with tracking more than without", "at most 1 %", told
    used = median(one[1] for one in tracked) - median(one[1] for one in bare)
    yield "processor seconds of all processes, more", "", f"{used:+.1f} s, at idle priority"


def trained(store: Path, *tracking: str) -> tuple[float, float]:
    """Train; return the seconds of all training stages, and the processor seconds of all processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    timed([*CONVARIUM, "run", *TRAINED, f"runtime.store={store}", "runtime.workers=2", "runtime.threads=1", *tracking])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = [json.loads(file.read_text()) for file in store.glob("*/*/done.json")]
    stages = sum(record["seconds"] for record in records if record["stage"] in ("train", "compress"))
    return stages, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def image(file: Path, store: Path) -> None:
    """Keep an image of the page's chart on a store."""
    with (
        tempfile.TemporaryDirectory() as folder,
        served(store, f"sqlite:///{folder}/mlflow.db") as address,
        browser() as window,
    ):
        seconds_until(window, address, POINTS)
        window.execute_script("document.querySelector('button[aria-label=Close], button[aria-label=close]')?.click()")
        window.execute_script(
            "document.head.insertAdjacentHTML('beforeend', '<style>.modebar {display: none}</style>')"
        )
        time.sleep(3)
        window.save_screenshot(str(file))


def main() -> None:
    """Print the table, or keep an image."""
    if len(sys.argv) == 3:
        image(Path(sys.argv[1]), Path(sys.argv[2]))
        return
    print("| figure | asked | measured |\n|---|---|---|")
    parts: list[Callable[[Path], Iterator[tuple[str, str, str]]]] = [thousand, at_once, cost]
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            for row in part(Path(folder)):
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
