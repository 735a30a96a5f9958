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

PIPELINES: dict[str, list[str]] = {
    "dense": [],
    "magnitude": ["compression=magnitude"],
    "milder magnitude": ["compression=magnitude", "compression.magnitude.sparsity=0.8"],
    "random": ["compression=random"],
    "kmeans": ["compression=kmeans"],
    "magnitude, huffman": ["compression=[magnitude,huffman]"],
    "magnitude, kmeans": ["compression=[magnitude,kmeans]"],
    "magnitude, kmeans, huffman": ["compression=[magnitude,kmeans,huffman]"],
    "random, kmeans": ["compression=[random,kmeans]"],
    "random, huffman": ["compression=[random,huffman]"],
    "random, kmeans, huffman": ["compression=[random,kmeans,huffman]"],
    "kmeans, huffman": ["compression=[kmeans,huffman]"],
}
COMMON = ["architecture=lenet5", "dataset=mnist5k", "dataset.train_size=1500", "recipe.epochs=20"]
KNOBS = {
    "magnitude": ["compression.magnitude.epochs=10", "compression.magnitude.rounds=1"],
    "random": ["compression.random.epochs=10", "compression.random.rounds=1"],
    "kmeans": ["compression.kmeans.epochs=10"],
}


def grid(overrides: list[str]) -> list[str]:
    """Return a pipeline's overrides with the epochs of the methods it has."""
    chosen = overrides[0] if overrides else ""
    return [*COMMON, *overrides, *(text for name, texts in KNOBS.items() if name in chosen for text in texts)]


def run(folder: Path, *arguments: str) -> None:
    """Run `convarium run` in a folder of its own, with a store of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "convarium", "run", *arguments, "runtime.threads=1"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)


def together(folder: Path, seeds: str) -> None:
    """Run all pipelines as one saved sweep."""
    (folder / "sweeps").mkdir(parents=True)
    grids = [[*grid(overrides), f"seed={seeds}"] for overrides in PIPELINES.values()]
    text = json.dumps({"description": "twelve pipelines", "expected_time": "minutes", "grids": grids})
    (folder / "sweeps" / "twelve.yaml").write_text(text)
    run(folder, "sweep=twelve", "runtime.workers=2")


def spent(stores: list[Path]) -> dict[str, Any]:
    """Sum what the stores' stages took."""
    results = [json.loads(path.read_text()) for store in stores for path in store.glob("outputs/store/*/*/done.json")]
    trained = [result for result in results if result["stage"] == "train"]
    return {"trainings": len(trained), "stages": len(results), "seconds": sum(result["seconds"] for result in results)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = list(range(parser.parse_args().seeds))
    with tempfile.TemporaryDirectory() as place:
        shared, began = Path(place) / "shared", time.perf_counter()
        together(shared, ",".join(map(str, seeds)))
        one = spent([shared]) | {"wall": time.perf_counter() - began}
        jobs = [(Path(place) / f"{name} {seed}", grid(PIPELINES[name]), seed) for name in PIPELINES for seed in seeds]
        began = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda job: run(job[0], *job[1], f"seed={job[2]}", "runtime.workers=1"), jobs))
        apart = spent([folder for folder, *_ in jobs]) | {"wall": time.perf_counter() - began}
    print("| 12 pipelines | dense trainings | stages | stage seconds | wall seconds |\n|---|---|---|---|---|")
    for name, row in (("one store", one), ("a script each", apart)):
        print(f"| {name} | {row['trainings']} | {row['stages']} | {row['seconds']:.0f} | {row['wall']:.0f} |")
    ratios = [f"{apart[key] / one[key]:.2f}x" for key in ("trainings", "stages", "seconds", "wall")]
    print(f"| times less | {' | '.join(ratios)} |")


if __name__ == "__main__":
    main()
