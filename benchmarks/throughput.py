"""What the platform costs: images per second of `fit` against a bare PyTorch loop doing the same work.

Both train the same network with the same optimiser on the same batches in the same order, on tensors in memory, one
thread. A pair is bare, ours, ours, bare in one warm process, since the speed of a shared machine drifts; the median of
the paired ratios is the figure. Ours includes all that `fit` does (Lightning's trainer, seeding, schedule, sums,
checkpoints), except looking at validation, which the bare loop doesn't do.

    python benchmarks/throughput.py                      both networks, ten pairs
    python benchmarks/throughput.py --pairs 3 --images 1280 --clock cpu     on a machine shared with others
"""

import argparse
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convarium.architectures.factory import build_architecture
from convarium.datasets.splits import LabelledImages, Splits, to_channels_last
from convarium.datasets.train_batches import BatchSampler
from convarium.tasks.fit import fit_network
from convarium.tasks.fit_job import FitJob
from convarium.workers.runtime import Runtime

RECIPE: dict[str, Any] = {
    "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "schedule": "cosine", "warmup_epochs": 0,
    "augmentation": "none", "label_smoothing": 0.0, "gradient_clip": None, "precision": "32", "early_stop": None,
    "final_weights": "last",
}  # fmt: skip
ORDER = ("bare", "ours", "ours", "bare")  # cancels a drift of the machine's speed within a pair
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
CASES = {"lenet5": (1, 28, 64), "resnet20": (3, 32, 128)}


def network(name: str) -> nn.Module:
    """Build the case's network from a fixed seed."""
    channels, side, _ = CASES[name]
    torch.manual_seed(0)
    shape = {"in_chans": channels, "num_classes": 10, "img_size": side}
    return build_architecture({"source": "own", "name": name, "stem": "native", "kwargs": {}, **shape})


def data(name: str, images: int) -> LabelledImages:
    """Random images and labels: their values don't change the work."""
    channels, side, _ = CASES[name]
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(images, channels, side, side, generator=generator)
    return LabelledImages(to_channels_last(pixels), torch.randint(10, (images,), generator=generator))


def bare(name: str, train: LabelledImages, epochs: int, clock: Callable[[], float]) -> float:
    """Train with a plain loop; return images per second."""
    model, batch_size = network(name).train(), CASES[name][2]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    sampler = BatchSampler(len(train), batch_size, seed=0)
    steps, step, began = sampler.steps_per_epoch * epochs, 0, clock()
    for epoch in range(epochs):
        total = torch.zeros(())
        for indices in sampler.list_batches(epoch):
            optimizer.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / steps))
            images, labels = train.images[indices], train.labels[indices]
            loss = nn.functional.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach() * len(labels)
            step += 1
        total.item()
    return len(train) * epochs / (clock() - began)


def ours(name: str, train: LabelledImages, epochs: int, clock: Callable[[], float]) -> float:
    """Train with `fit`; return images per second."""
    channels, _, batch_size = CASES[name]
    model, splits = network(name), Splits(train, None, None, (0.0,) * channels, (1.0,) * channels)
    with tempfile.TemporaryDirectory() as folder:
        recipe = {**RECIPE, "batch_size": batch_size, "epochs": epochs}
        job = FitJob({"name": "classification"}, Path(folder) / "c.ckpt", structure={}, seed=0)
        runtime = Runtime(
            folder=Path(folder), checkpoint_folder=Path(folder), threads=1, accelerator="cpu", data_root=None,
            report=lambda **_: None, check_lease=lambda: None, run_fresh=lambda *_: None,
        )  # fmt: skip
        began = clock()
        fit_network(model, splits, recipe, job, runtime)
        return len(train) * epochs / (clock() - began)


def main() -> None:
    """Print a markdown table; exit 1 where a median ratio is below 0.95."""
    parser = argparse.ArgumentParser(description="Images per second of `fit` against a bare PyTorch loop.")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--images", type=int, default=2560, help="LeNet-5's images an epoch; ResNet-20 takes a fifth")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--networks", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | batch | bare images/s | ours images/s | median ratio | range of ratios |")
    print("|---|---|---|---|---|---|")
    ratios = [row(name, options) for name in options.networks]
    raise SystemExit(0 if min(ratios) >= 0.95 else 1)


def row(name: str, options: argparse.Namespace) -> float:
    """Measure one network, print its row, return the median ratio."""
    train = data(name, options.images if name == "lenet5" else max(256, options.images // 5))
    pairs, runs = [], {"bare": bare, "ours": ours}
    for _ in range(options.pairs + 1):
        rates: dict[str, list[float]] = {"bare": [], "ours": []}
        for which in ORDER:
            rates[which].append(runs[which](name, train, options.epochs, CLOCKS[options.clock]))
        pairs.append((statistics.harmonic_mean(rates["bare"]), statistics.harmonic_mean(rates["ours"])))
    pairs = pairs[1:]
    ratios = sorted(mine / plain for plain, mine in pairs)
    plain, mine = (statistics.median(side) for side in zip(*pairs, strict=True))
    middle, spread = statistics.median(ratios), f"{ratios[0]:.3f} to {ratios[-1]:.3f}"
    print(f"| {name} | {CASES[name][2]} | {plain:.0f} | {mine:.0f} | {middle:.3f} | {spread} |", flush=True)
    return middle


if __name__ == "__main__":
    main()
