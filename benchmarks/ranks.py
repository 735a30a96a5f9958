"""Two ranks on the CPU against one process: the network after ten steps, images per second, lost ranks.

The images are drawn at random. In float64 everything that a recipe may do to a batch is on at once: augmentation,
clipping, smoothing and a last batch of three images, which is too small to share.

    python benchmarks/ranks.py > docs/results/ranks.md      four minutes; one thread for each rank
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
COLUMNS = ("network", "type", "recipe", "largest difference", "between the ranks")
RATED_NETWORKS, RATED_BATCH_SIZES = ("lenet5", "resnet20"), (16, 128, 512)
RATED_STEPS = 10
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
    name: str, recipe: dict[str, Any], count: int, epochs: int, folder: Path, ranks: Ranks | None
) -> tuple[dict[str, Tensor], float]:
    """Train in batches of 16, or as the recipe says; return the weights, and images per second of the last epoch."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 1, 28, 28, generator=generator)
    splits = Splits(LabelledImages(images, torch.arange(count) % 10), None, None, (0.0,), (1.0,))
    run = Run(splits, folder / f"{ranks and ranks.rank}.ckpt", warmup_epochs=0, **recipe)
    network = run(build_network(name), epochs=epochs, ranks=ranks)
    seconds = run.reports[-1]["seconds"] if run.reports else 0.0
    return network.state_dict(), count / seconds


def print_differences() -> None:
    """Print how far two ranks are from one process, for each case."""
    print(f"| {' | '.join(COLUMNS)} |")
    print("|---|---|---|---|---|")
    for name, dtype, recipe, count in CASES:
        torch.set_default_dtype(dtype)
        with tempfile.TemporaryDirectory() as folder:
            train = partial(train_network, name, recipe, count, 1, Path(folder))
            alone, _ = train(None)
            (first, _), (second, _) = call_in_ranks(2, train, Path(folder))
        how = "augmented, clipped, smoothed, short last batch" if recipe else "plain"
        differences = f"{find_difference(first, alone):.1e} | {find_difference(first, second):.0e}"
        print(f"| {name} | {str(dtype).removeprefix('torch.')} | {how} | {differences} |", flush=True)
    torch.set_default_dtype(torch.float32)


def print_rates() -> None:
    """Print images per second alone and in two ranks, for each batch size; of the second of two epochs."""
    print("| network | batch | images/s alone | in two ranks | ratio |")
    print("|---|---|---|---|---|")
    for name in RATED_NETWORKS:
        for batch_size in RATED_BATCH_SIZES:
            with tempfile.TemporaryDirectory() as folder:
                recipe = {"batch_size": batch_size}
                train = partial(train_network, name, recipe, RATED_STEPS * batch_size, 2, Path(folder))
                _, rate = train(None)
                _, shared_rate = call_in_ranks(2, train, Path(folder))[0]
            print(f"| {name} | {batch_size} | {rate:.0f} | {shared_rate:.0f} | {shared_rate / rate:.2f} |", flush=True)


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
                seconds = time.monotonic() - begun_at
            # Not before: while the stage goes on, what this process prints is the log's.
            print(f"| {title} | {seconds:.1f} | {read_fall(log)[:90]} |", flush=True)


def read_fall(log: Path) -> str:
    """Return how the first rank fell, in the words of the stage's log; "" as long as none has."""
    match = re.search(r"^# .*(rank \d.*)$", log.read_text(), re.MULTILINE)
    return match[1] if match else ""


def main() -> None:
    """Print the page."""
    torch.set_num_threads(1)
    print(HEAD)
    print_differences()
    print("\nImages per second in float32, of the second of two epochs of ten steps.\n")
    print_rates()
    print("\nAsked of lost ranks: a frozen one is noticed within 90 s (60 of waiting, 30 until it is ended).\n")
    print_lost_ranks()
    print("\nNot measured: GPUs (NCCL).")


if __name__ == "__main__":
    main()
