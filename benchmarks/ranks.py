"""Two ranks on the CPU against one process: the network after ten steps, images per second, lost ranks.

The images are drawn at random. In float64 everything that a recipe may do to a batch is on at once: augmentation,
clipping, smoothing and a last batch of three images, which is too small to share.

    python benchmarks/ranks.py > docs/results/ranks.md      three minutes; one thread for each rank
"""

import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path[0] = str(Path(__file__).parents[1] / "tests")  # in place of benchmarks, whose store.py hides tests/store

from convarium.architectures.factory import build_architecture  # noqa: E402
from convarium.datasets.splits import LabelledImages, Splits  # noqa: E402
from convarium.store.result_folder import ResultFolder  # noqa: E402
from convarium.store.store import Store  # noqa: E402
from convarium.tasks.ranks import Ranks  # noqa: E402
from store.fake_run import (  # type: ignore[import-not-found]  # noqa: E402
    launch_in_thread,
    make_fake_node,
    make_fake_plan,
    run_plan_silently,
)
from tasks.fit_harness import Run  # type: ignore[import-not-found]  # noqa: E402
from tasks.rank_harness import call_in_ranks  # type: ignore[import-not-found]  # noqa: E402
from waiting import wait_until  # type: ignore[import-not-found]  # noqa: E402

ALL: dict[str, Any] = {"augmentation": "crop_flip", "gradient_clip": 1.0, "label_smoothing": 0.1}
CASES: tuple[tuple[str, torch.dtype, dict[str, Any], int], ...] = (
    ("lenet5", torch.float32, {}, 160),
    ("resnet20", torch.float32, {}, 160),
    ("lenet5", torch.float64, ALL, 147),
    ("resnet20", torch.float64, ALL, 147),
)
COLUMNS = (
    "network", "type", "recipe", "largest difference", "between the ranks", "images/s alone", "in two ranks",
)  # fmt: skip
HEAD = """# Ranks

Made by `.venv/bin/python benchmarks/ranks.py`: two ranks by gloo on the CPU against one process, one epoch of ten steps
of 16 images, one thread each. Asked: within 1e-6 in float32 (LeNet-5), within 1e-9 in float64. In float32 ResNet-20
drifts: that is rounding, which batch normalisation amplifies.
"""
FALLS = {"killed": "kill -9", "raise": "an exception", "frozen": "frozen (SIGSTOP)"}


def build_network(name: str) -> nn.Module:
    """Build a network for images of 28 x 28 from a fixed seed, in torch's default type."""
    torch.manual_seed(0)
    shape = {"in_chans": 1, "num_classes": 10, "img_size": 28}
    return build_architecture({"source": "own", "name": name, "stem": "native", "kwargs": {}, **shape})


def train_network(
    name: str, recipe: dict[str, Any], count: int, folder: Path, ranks: Ranks | None
) -> tuple[dict[str, Tensor], float]:
    """Train for one epoch in batches of 16; return the weights, and images per second of the epoch."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 1, 28, 28, generator=generator)
    splits = Splits(LabelledImages(images, torch.arange(count) % 10), None, None, (0.0,), (1.0,))
    run = Run(splits, folder / f"{ranks and ranks.rank}.ckpt", warmup_epochs=0, **recipe)
    network = run(build_network(name), epochs=1, ranks=ranks)
    seconds = run.reports[-1]["seconds"] if run.reports else 0.0
    return network.state_dict(), count / seconds


def print_differences() -> None:
    """Print how far two ranks are from one process, for each case."""
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|---|---|---|---|---|---|")
    for name, dtype, recipe, count in CASES:
        torch.set_default_dtype(dtype)
        with tempfile.TemporaryDirectory() as folder:
            train = partial(train_network, name, recipe, count, Path(folder))
            alone, rate = train(None)
            (first, shared_rate), (second, _) = call_in_ranks(2, train, Path(folder))
        how = "augmented, clipped, smoothed, short last batch" if recipe else "plain"
        differences = f"{find_difference(first, alone):.1e} | {find_difference(first, second):.0e}"
        figures = f"{differences} | {rate:.0f} | {shared_rate:.0f}"
        print(f"| {name} | {str(dtype).removeprefix('torch.')} | {how} | {figures} |", flush=True)
    torch.set_default_dtype(torch.float32)


def find_difference(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Return the largest difference of two networks' tensors."""
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def print_lost_ranks() -> None:
    """Print how long it takes until the stage has failed, or is to be begun again."""
    print("| the second of two ranks | seconds until the stage has failed, or is to be begun again | in its words |")
    print("|---|---|---|")
    for how, title in FALLS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            node = make_fake_node("shared", stage="share", how=how, journal=folder / "journal")
            node.runtime["devices"] = 2
            run = partial(run_plan_silently, make_fake_plan(node), folder / "store", launch_in_thread, workers=1)
            with ThreadPoolExecutor(1) as pool:
                pool.submit(run)
                wait_until((folder / "journal").exists)
                begun_at = time.monotonic()
                log = ResultFolder(Store(folder / "store").folder_of(node)).log
                wait_until(partial(read_fall, log), seconds=180.0)
                print(f"| {title} | {time.monotonic() - begun_at:.1f} | {read_fall(log)[:90]} |", flush=True)


def read_fall(log: Path) -> str:
    """Return how the first rank fell, in the words of the stage's log; "" as long as none has."""
    match = re.search(r"^# .*(rank \d.*)$", log.read_text(), re.MULTILINE)
    return match[1] if match else ""


def main() -> None:
    """Print the page."""
    torch.set_num_threads(1)
    print(HEAD)
    print_differences()
    print("\nAsked of lost ranks: a frozen one is noticed within 90 s (60 of waiting, 30 until it is ended).\n")
    print_lost_ranks()
    print("\nNot measured: GPUs. The rates tell little: others used the two cores meanwhile.")


if __name__ == "__main__":
    main()
