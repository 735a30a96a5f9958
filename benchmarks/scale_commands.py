"""What `status` and `compare` of 10,000 points cost: processor time of each command, imports included.

    python benchmarks/scale_commands.py [OLD]

The results are made, not trained (`benchmarks/store.py`): LeNet-5 on Fashion-MNIST with pruning, sharing and coding,
every point with a dense network of its seed and recipe. Once the points are a hundred seeds of each row, once each is a
row of its own. With OLD (a commit) the same commands run with that commit's source,
in turns with this one's. Asked: 20 s each.
"""

import argparse
import os
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from store import write_result

ROOT = Path(__file__).parents[1]
BASE = ("architecture=lenet5", "dataset=fashion_mnist", "compression=none,[magnitude,kmeans,huffman]")
SEEDS = (
    *BASE, "compression.magnitude.sparsity=range(0.5,0.97,0.024)", "compression.kmeans.bits=range(3,8)",
    "seed=range(0,100)",
)  # fmt: skip
ROWS = (
    *BASE, "compression.magnitude.sparsity=range(0.5,0.98,0.0012)", "compression.kmeans.bits=range(3,8)",
    "recipe.lr=0.1,0.02,0.01,0.005,0.002",
)  # fmt: skip
GRIDS = {"100 seeds of a row": SEEDS, "a row each": ROWS}


def main() -> None:
    """Print a table, a line for each grid and command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", help="a commit to compare with")
    old = parser.parse_args().old
    with tempfile.TemporaryDirectory() as folder:
        sources = {"this": ROOT}
        if old:
            sources = {old: Path(folder, "source"), **sources}
            subprocess.run(["git", "worktree", "add", "-q", "--detach", sources[old], old], check=True)
        try:
            print(f"| 10,000 points | command | {' | '.join(sources)} |\n|{'---|' * (2 + len(sources))}")
            for index, (told, grid) in enumerate(GRIDS.items()):
                root = Path(folder, f"store-{index}")
                store_grid(root, grid)
                for words in (["compare", *grid], ["compare"], ["status", *grid]):
                    seconds = [
                        measure_command([*words, f"runtime.store={root}"], source) for source in sources.values()
                    ]
                    name = f"{words[0]} of all" if len(words) == 2 else words[0]
                    print(f"| {told} | `{name}` | {' | '.join(f'{value:.1f} s' for value in seconds)} |", flush=True)
        finally:
            if old:
                subprocess.run(["git", "worktree", "remove", "--force", sources[old]], check=True)


def store_grid(root: Path, grid: tuple[str, ...]) -> None:
    """Write the results of all nodes that a grid's points ask for."""
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan
    from convarium.store.store import Store

    store, chance = Store(root), random.Random(0)
    store.prepare()
    nodes = list(build_plan(compose_points(grid).check_points()).nodes.values())
    for index, node in enumerate(nodes):
        write_result(store, node, index, chance)


def measure_command(words: list[str], source: Path) -> float:
    """Return the processor seconds of a command of one source tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    subprocess.run(
        [sys.executable, "-m", "convarium", *words], check=True, capture_output=True, env=environment, cwd=source
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
