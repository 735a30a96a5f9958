"""Kill -9 at random moments of a sweep with two workers; the same command then finishes, bit for bit as undisturbed.

Kills hit the controller, one of its workers, or a worker's child (the fresh process that measures), in turn.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

ARGUMENTS = (
    "architecture=lenet5",
    "dataset=mnist5k",
    "dataset.train_size=1500",
    "recipe.epochs=6",
    "compression=none,magnitude,random,[magnitude,kmeans],[magnitude,kmeans,huffman]",
    "seed=0,1",
    "runtime.workers=2",
)
ROLES = ("worker", "controller", "child")


def start(store: Path) -> subprocess.Popen[bytes]:
    """Start the sweep in a process group of its own."""
    line = [sys.executable, "-m", "convarium", "run", *ARGUMENTS, f"runtime.store={store}"]
    return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def finish(store: Path) -> float:
    """Run the sweep to its end and return the seconds it took."""
    began = time.perf_counter()
    if start(store).wait() != 0:
        raise SystemExit("the sweep did not finish")
    return time.perf_counter() - began


def descendants(pid: int) -> Iterator[tuple[int, int, str]]:
    """Yield (pid, depth, command line) of all processes below `pid`."""
    todo = [(pid, 0)]
    while todo:
        parent, depth = todo.pop()
        for child in children(parent):
            try:
                line = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            yield child, depth + 1, line
            todo.append((child, depth + 1))


def children(parent: int) -> list[int]:
    """Return the processes that any thread of `parent` started."""
    found: list[int] = []
    for tasks in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, tasks.read_text().split())
    return found


def victim(controller: int, role: str) -> int | None:
    """Choose a process of the role; None while there is none."""
    if role == "controller":
        return controller
    found = list(descendants(controller))
    workers = [pid for pid, depth, line in found if depth == 1 and "LokyProcess" in line]
    below = {pid for worker in workers for pid, _, line in descendants(worker)}
    pool = workers if role == "worker" else sorted(below)
    return random.choice(pool) if pool else None


def kill(pid: int | None) -> bool:
    """Kill a process; whether it was still there."""
    try:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return pid is not None


def running(store: Path) -> str:
    """Name the stages that hold a lease."""
    held = {path.parent for path in store.glob("*/*/lease.*")}
    return ", ".join(sorted({folder.parent.name for folder in held if not (folder / "done.json").exists()})) or "none"


def working(store: Path) -> float:
    """Return the seconds from the first stage's start to the last one's end."""
    results = [json.loads(path.read_text()) for path in store.glob("*/*/done.json")]
    starts = [datetime.fromisoformat(result["started"]).timestamp() for result in results]
    ends = [start + result["seconds"] for start, result in zip(starts, results, strict=True)]
    return float(max(ends) - min(starts))


def contents(store: Path) -> dict[str, str]:
    """Digest of every stored network, and every stored metric, by folder."""
    found = {}
    for done in store.glob("*/*/done.json"):
        key = f"{done.parent.parent.name}/{done.parent.name}"
        files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in done.parent.glob("*.cvm")}
        found[key] = json.dumps([files, json.loads(done.read_text())["result"]], sort_keys=True)
    return found


def main() -> None:
    """Print the table, and fail if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, store = Path(folder) / "calm", Path(folder) / "killed"
        whole = finish(calm)
        expected = contents(calm)
        busy = working(calm)
        print(f"undisturbed: {len(expected)} stages in {whole:.0f} s, {busy:.0f} s of them at work\n")
        print("| kill | process | after s of work | stages at work | done before | then |\n|---|---|---|---|---|---|")
        for number in range(options.kills):
            _round(number, store, busy / 2)
            if len(contents(store)) == len(expected):
                _compare(expected, contents(store))
                subprocess.run(["rm", "-rf", str(store)], check=True)
        finish(store)
        _compare(expected, contents(store))
    print(f"\nAfter {options.kills} kills all {len(expected)} stages are equal, bit for bit.")


def _round(number: int, store: Path, busy: float) -> None:
    """Start the sweep, wait until it works, then a random while, and kill one of its processes."""
    role, process = ROLES[number % len(ROLES)], start(store)
    while process.poll() is None and running(store) == "none":
        time.sleep(0.05)
    wait = random.uniform(0, busy)
    time.sleep(wait)
    before, held = set(contents(store)), running(store)
    while process.poll() is None and not kill(victim(process.pid, role)):
        before, held = set(contents(store)), running(store)
        time.sleep(0.02)
    code = process.wait()
    time.sleep(1)
    how = "killed" if role == "controller" else f"went on, exit code {code}, {len(contents(store))} done"
    print(f"| {number + 1} | {role} | {wait:.1f} | {held} | {len(before)} | {how} |", flush=True)


def _compare(expected: dict[str, str], found: dict[str, str]) -> None:
    if different := [key for key in expected if found.get(key) != expected[key]]:
        raise SystemExit(f"differs after kills: {different}")


if __name__ == "__main__":
    main()
