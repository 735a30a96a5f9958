"""Are the files that two commits make of one command line the same, byte for byte?

    python benchmarks/same_files.py [OLD] [--old-overrides "…"] [OVERRIDE …]

Runs the command line with the source of commit OLD (default HEAD) and with that of this working tree, each from
training on and in a store of its own, and compares the networks point by point. The bytes behind a training depend on
the processor, so both are made here, on this machine. `--old-overrides` is the command line in the words of OLD, where
keys were renamed since. Without overrides: a small network under every method that has no program of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
METHODS = (
    "none,magnitude,random,global_gradual,filter_l1,svd,kmeans,uniform,levels,bwn,small_dense,xz,"
    "[magnitude,kmeans,huffman],[global_gradual,levels,arithmetic]"
)
COMMAND = ["architecture=lenet5", "dataset=digits", "dataset.img_size=16", "recipe.epochs=2", f"compression={METHODS}"]


def main() -> int:
    """Print the table; return 1 if a file moved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", nargs="?", default="HEAD")
    parser.add_argument("--old-overrides", help="the command line in the words of OLD, separated by spaces")
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_args()
    overrides = options.overrides or COMMAND
    old_overrides = options.old_overrides.split() if options.old_overrides else overrides
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "source")
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", source, options.old], cwd=ROOT, check=True)
        try:
            before = run_command(source, old_overrides, Path(folder, "old"))
            after = run_command(ROOT, overrides, Path(folder, "new"))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", source], cwd=ROOT, check=True)
        return print_comparison(before, after)


def run_command(source: Path, overrides: list[str], folder: Path) -> list[dict[str, Any]]:
    """Return the runs of `convarium run --json` under the code in `source`, with a store in `folder`."""
    folder.mkdir()
    command = [sys.executable, "-m", "convarium", "run", "--json", "runtime.threads=1", *overrides]
    environment = {**os.environ, "PYTHONPATH": str(source / "src")}
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=folder, env=environment, text=True)
    if done.returncode:
        sys.exit(f"{source}: the command ended with exit code {done.returncode}")
    runs: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    return [{**one, "digest": compute_digest(folder / one["path"] / "network.cvm")} for one in runs]


def compute_digest(path: Path) -> str:
    """Return the first 16 digits of a file's SHA-256."""
    return sha256(path.read_bytes()).hexdigest()[:16]


def print_comparison(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    """Print a line a point; return 1 if a digest differs."""
    print("| point | old | new | |\n|---|---|---|---|")
    moved = 0
    for old, new in zip(before, after, strict=True):
        same = old["digest"] == new["digest"]
        moved += not same
        verdict = "same" if same else "MOVED"
        print(f"| {' '.join(new['overrides'])} | `{old['digest']}` | `{new['digest']}` | {verdict} |")
    print(f"\n{len(after) - moved} of {len(after)} files are the same.")
    return 1 if moved else 0


if __name__ == "__main__":
    sys.exit(main())
