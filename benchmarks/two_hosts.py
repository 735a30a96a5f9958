"""`time` on two hosts, of which one is busy for long: when it begins, what runs beside it, how far its times spread.

usage: python benchmarks/two_hosts.py

Two hosts are two sets of namespaces of this machine (those of tests/cluster), each with two workers of one run. LeNet-5
and half of its filters are made beforehand. The run is their times under the eager executor, a stage that sleeps until
all is over, and many that sleep for a second. The workers of the first host are started, then, once the long
stage goes on and the times are ready, those of the second. Asked: the times begin at once on the second host, and
nothing else runs there meanwhile.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from convarium.compose.points import compose_points
from convarium.planning.plan import Node
from convarium.planning.stage_graph import build_plan
from convarium.store.store import Store

# In place of this folder, whose store.py would hide the one of the tests.
sys.path[0] = str(Path(__file__).parents[1] / "tests")
fake_run: Any = import_module("store.fake_run")
hosts: Any = import_module("cluster.hosts")
cluster_run: Any = import_module("cluster.cluster_run")

NETWORKS = ("architecture=lenet5", "dataset=mnist5k", "dataset.train_size=1500", "recipe.epochs=2",
            "compression=none,filter_l1", "compression.filter_l1.epochs=1")  # fmt: skip
TIMES = ("measurement.executors=[eager]", "measurement.batch_sizes=[1]")
COLUMNS = ("stage", "host", "began after s", "took s", "of its host meanwhile", "of the other host meanwhile",
           "speed-up", "largest p90 / p10")  # fmt: skip
SHORT_STAGES = 400
HEAD_START_SECONDS = 3.0
TIMEOUT_SECONDS = 900.0

Record = Mapping[str, Any]


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "store")
        command = [sys.executable, "-m", "convarium", "run", *NETWORKS, f"runtime.store={root}"]
        subprocess.run(command, check=True, capture_output=True)
        plan = build_plan(compose_points([*NETWORKS, *TIMES, f"runtime.store={root}"]).check_points())
        started = run_on_two_hosts(Path(folder), root, list(plan.nodes.values()))
        print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
        for row in build_rows(list(Store(root).read_records()), started):
            print(f"| {' | '.join(row)} |")


def run_on_two_hosts(folder: Path, root: Path, nodes: Sequence[Node]) -> float:
    """Run nodes among sleeping ones until all times are there; return when the second host's workers were started."""
    long = replace(fake_run.make_fake_node("long", epochs=10**6, seconds=0.1), work=1e9)
    short = [fake_run.make_fake_node(f"short-{index}", seconds=1.0) for index in range(SHORT_STAGES)]
    run = cluster_run.begin_run(root, long, *nodes, *short)
    busy, idle = (start_host(folder, name) for name in ("busy", "idle"))
    try:
        for _ in range(2):
            cluster_run.start_worker(busy, run, root)
        store = Store(root)
        cluster_run.wait_until(lambda: has_lease(store, long) and bool(count_stages_of(store, "busy")))
        time.sleep(HEAD_START_SECONDS)
        started = time.time()
        for _ in range(2):
            cluster_run.start_worker(idle, run, root)
        times = [node.signature for node in nodes if node.stage == "time"]
        cluster_run.wait_until(lambda: len(store.select_finished(times)) == len(times), TIMEOUT_SECONDS)
        if not has_lease(store, long):
            raise SystemExit("the long stage should have gone on all the while")
        return started
    finally:
        run.stop()
        for host in (busy, idle):
            host.close()


def start_host(folder: Path, name: str) -> Any:
    """Return a host that sees this folder."""
    scratch = folder / f"tmp-of-{name}"
    scratch.mkdir()
    return hosts.Host(name, scratch, [folder / "store"])


def has_lease(store: Store, node: Node) -> bool:
    """Whether a node is in the hands of a worker."""
    return any(store.folder_of(node).glob("lease.*"))


def count_stages_of(store: Store, host: str) -> int:
    """Return how many results a host has made."""
    return sum(record["host"]["name"] == host for record in store.read_records())


def build_rows(records: Sequence[Record], started: float) -> Iterator[Sequence[str]]:
    """Yield the row of each time."""
    for record in sorted(records, key=read_start):
        if record["stage"] != "time":
            continue
        beside = [other for other in records if other is not record and is_beside(other, record)]
        of_its_host = sum(other["host"]["name"] == record["host"]["name"] for other in beside)
        result = record["result"]
        low, high = result["speedup_range"]
        spread = max(race["spread"] for race in result["races"])
        yield (
            record["name"],
            record["host"]["name"],
            f"{read_start(record) - started:.1f}",
            f"{record['seconds']:.1f}",
            str(of_its_host),
            f"{len(beside) - of_its_host}, and the long one",
            "void" if result["void"] else f"{result['metrics']['speedup']:.2f} ({low:.2f} to {high:.2f})",
            f"{spread:.2f}",
        )


def is_beside(other: Record, record: Record) -> bool:
    """Whether one stage ran while another did."""
    return read_start(other) < read_end(record) and read_start(record) < read_end(other)


def read_start(record: Record) -> float:
    """Return when a stage began, in seconds since 1970."""
    return datetime.fromisoformat(record["started"]).timestamp()


def read_end(record: Record) -> float:
    """Return when a stage ended, in seconds since 1970."""
    return read_start(record) + float(record["seconds"])


if __name__ == "__main__":
    main()
