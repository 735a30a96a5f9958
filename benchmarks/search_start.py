"""What a search costs until its first trial is asked, in processor seconds, and how much of it is importing torch.

    python benchmarks/search_start.py [--times 3]

Each search is begun in a process of its own and in an empty store; the process ends in place of writing down the first
trial that it asked. Of several times the smallest is printed: other work on the machine only adds to it.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

SEARCHES = {
    "a recipe": ("architecture=mlp", "recipe.lr=tag(log,interval(0.001,0.3))"),
    "a recipe, gp": ("architecture=mlp", "recipe.lr=tag(log,interval(0.001,0.3))", "search/strategy=gp"),
    "pipelines": ("architecture=mlp", "search/space=pipeline", "search.objectives=[accuracy,file_bytes]"),
    "architectures, with a pruner": (
        "architecture=resnet20,resnet32,wrn_16_1",
        "search.objectives=[accuracy,macs]",
        "search/pruner=median",
    ),
}
MISTAKE = ("architecture=mlp", "recipe.lr=interval(0.001,0.3)", "search/strategy=tp")
ALL_SEARCHES = ("dataset=digits", "runtime.workers=2")
NOTE_SECONDS = """
import os, sys, time
from pathlib import Path

def end(*_):
    Path("seconds.txt").write_text(str(time.process_time()))
    os._exit(0)
"""
IMPORT_TORCH = f"{NOTE_SECONDS}\nimport torch\nend()"
BEGIN_SEARCH = f"""{NOTE_SECONDS}
from convarium.cli import main
from convarium.search import study

study.append_asked_trial = end
main(["search", *sys.argv[1:]])
end()
"""


def main() -> None:
    """Print a line for each search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=3)
    times = parser.parse_args().times
    torch_seconds = measure(IMPORT_TORCH, (), times)
    print("| search of | until its first trial is asked | of it beyond importing torch |")
    print("|---|---|---|")
    for name, line in SEARCHES.items():
        seconds = measure(BEGIN_SEARCH, (*line, *ALL_SEARCHES), times)
        print(f"| {name} | {seconds:.2f} s | {seconds - torch_seconds:.2f} s |", flush=True)
    print(f"| a mistake, until it is said | {measure(BEGIN_SEARCH, (*MISTAKE, *ALL_SEARCHES), times):.2f} s | |")


def measure(code: str, arguments: Sequence[str], times: int) -> float:
    """Return the least processor seconds that a process needs, which it notes at its end."""
    seconds = []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-c", code, *arguments]
            subprocess.run(command, cwd=folder, capture_output=True, check=True)
            seconds.append(float(Path(folder, "seconds.txt").read_text()))
    return min(seconds)


if __name__ == "__main__":
    main()
