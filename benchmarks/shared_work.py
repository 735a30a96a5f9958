"""Twelve named pipelines x three seeds from one store, against one store (one dense training) per pipeline and seed.

Dense trainings take 20 epochs, each retraining 10. Seconds are the stages' own, as stored with their results, so that
neither side pays for imports; wall seconds are printed beside them.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

PIPELINES = (
    "none",
    "magnitude",
    "random",
    "kmeans",
    "huffman",
    "[magnitude,kmeans]",
    "[magnitude,huffman]",
    "[magnitude,kmeans,huffman]",
    "[random,kmeans]",
    "[random,huffman]",
    "[random,kmeans,huffman]",
    "[kmeans,huffman]",
)
COMMON = ("architecture=lenet5", "dataset=mnist5k", "recipe.epochs=20")
KNOBS = {name: f"compression.{name}.epochs=10" for name in ("magnitude", "random", "kmeans")}


def run(store: Path, compression: str, seeds: str, workers: int) -> None:
    """Run `convarium run` on a store of its own."""
    knobs = [knob for name, knob in KNOBS.items() if name in compression]
    rounds = [f"compression.{name}.rounds=1" for name in ("magnitude", "random") if name in compression]
    settings = [f"compression={compression}", f"seed={seeds}", f"runtime.store={store}", f"runtime.workers={workers}"]
    command = [sys.executable, "-m", "convarium", "run", *COMMON, *knobs, *rounds, *settings, "runtime.threads=1"]
    subprocess.run(command, check=True, capture_output=True)


def spent(stores: list[Path]) -> dict[str, Any]:
    """Sum what the stores' stages took."""
    results = [json.loads(path.read_text()) for store in stores for path in store.glob("*/*/done.json")]
    trained = [result for result in results if result["stage"] == "train"]
    return {"trainings": len(trained), "stages": len(results), "seconds": sum(result["seconds"] for result in results)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = list(range(parser.parse_args().seeds))
    with tempfile.TemporaryDirectory() as folder:
        shared, began = Path(folder) / "shared", time.perf_counter()
        run(shared, ",".join(PIPELINES), ",".join(map(str, seeds)), 2)
        together = spent([shared]) | {"wall": time.perf_counter() - began}
        stores = [(Path(folder) / f"{i}-{seed}", name, str(seed)) for i, name in enumerate(PIPELINES) for seed in seeds]
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: run(job[0], job[1], job[2], 1), stores))
        apart = spent([store for store, *_ in stores]) | {"wall": time.perf_counter() - began}
    print("| 12 pipelines | dense trainings | stages | stage seconds | wall seconds |\n|---|---|---|---|---|")
    for name, row in (("one store", together), ("a script each", apart)):
        print(f"| {name} | {row['trainings']} | {row['stages']} | {row['seconds']:.0f} | {row['wall']:.0f} |")
    ratios = [f"{apart[key] / together[key]:.2f}x" for key in ("trainings", "stages", "seconds", "wall")]
    print(f"| times less | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
