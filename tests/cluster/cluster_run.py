"""A run that the tests' own process controls, and whose workers are on other hosts."""

from collections import Counter
from pathlib import Path

from cluster.hosts import Host, HostProcess
from convarium.planning.plan import Node
from convarium.store.store import Store
from convarium.workers.run_file import Run
from store.fake_run import make_fake_plan

NOTHING_LEFT = "nothing is left for this worker\n"
PATIENT_WORK = ("-m", "convarium", "work")
IMPATIENT_WORK = ("-m", "cluster.impatient_work")  # takes over after seconds, not minutes


def begin_run(root: Path, *nodes: Node, workers: int = 2) -> Run:
    """Begin a run that nobody works for yet."""
    store = Store(root)
    store.prepare()
    return Run.begin(make_fake_plan(*nodes), store, workers)


def start_worker(host: Host, run: Run, root: Path, work: tuple[str, ...] = PATIENT_WORK) -> HostProcess:
    """Have a host work for a run whose store it sees at `root`."""
    return host.start_python(*work, root / "runs" / run.id)


def count_begun(journal: Path) -> Counter[str]:
    """Return how often each stage was begun, by its name."""
    lines = journal.read_text().splitlines() if journal.exists() else []
    return Counter(line.split()[0] for line in lines if not line.startswith("child "))
