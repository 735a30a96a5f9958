"""Two ranks train the network that one process trains, and resume in the same bits."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.architectures.factory import build_architecture
from convarium.datasets import train_batches
from convarium.datasets.splits import LabelledImages, Splits
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks import ranks as ranks_module
from convarium.tasks.batch import Batch
from convarium.tasks.ranks import Ranks
from tasks.fit_harness import Run, draw_splits, equal, leave_in_mid_epoch, plain
from tasks.rank_harness import call_in_ranks

Weights = dict[str, Tensor]


def build_lenet() -> nn.Module:
    torch.manual_seed(0)
    shape = {"in_chans": 1, "num_classes": 4, "img_size": 28}
    return build_architecture({"source": "own", "name": "lenet5", "stem": "native", "kwargs": {}, **shape})


def build_without_dropout() -> nn.Module:
    """With batch normalisation of two kinds, in float64."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 8), nn.BatchNorm1d(8)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Linear(8, 4)).double()


class Cast(nn.Module):
    """Mixed images and their targets are float32; the network between them need not be."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, values: Tensor) -> Tensor:
        return values.to(self.dtype)


@pytest.fixture
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def draw_double_splits(train: int) -> Splits:
    splits = draw_splits()
    assert splits.train is not None
    assert splits.validation is not None
    images = [
        LabelledImages(part.images[:count].double(), part.labels[:count])  # type: ignore[index]
        for part, count in ((splits.train, train), (splits.validation, 40))
    ]
    return Splits(*images, None, (0.0,), (1.0,))


def find_largest_difference(one: Weights, other: Weights) -> float:
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def pull(batch: Batch) -> Tensor:
    return 0.1 * (batch.logits.square().mean() - batch.loss)


def test_after_ten_steps_two_ranks_have_the_network_of_one_process(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    train = LabelledImages(torch.randn(160, 1, 28, 28, generator=generator), torch.arange(160) % 4)
    splits = Splits(train, train, None, (0.0,), (1.0,))

    def train_network(ranks: Ranks | None) -> Weights:
        run = Run(splits, tmp_path / f"{ranks and ranks.rank}.ckpt", warmup_epochs=0)
        return run(build_lenet(), epochs=1, ranks=ranks).state_dict()

    alone = train_network(None)
    first, second = call_in_ranks(2, train_network, tmp_path)
    assert find_largest_difference(first, second) == 0
    assert find_largest_difference(first, alone) < 1e-6


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize(
    ("train", "changes"),  # of 115 images the last batch has three: too few for two ranks
    [
        (115, {"augmentation": "crop_flip", "gradient_clip": 0.1, "label_smoothing": 0.1}),
        (120, {"accumulate": 3, "final_weights": "ema", "ema_decay": 0.9}),
        (20, {"batch_size": 3, "early_stop": 1, "final_weights": "best"}),
    ],
    ids=["augmented, clipped and smoothed", "in parts and averaged", "batches too small to share"],
)
def test_in_float64_nothing_differs_but_the_order_of_sums(train: int, changes: dict[str, Any], tmp_path: Path) -> None:
    splits = draw_double_splits(train)

    def train_network(ranks: Ranks | None) -> tuple[Weights, list[float]]:
        run = Run(splits, tmp_path / f"{ranks and ranks.rank}.ckpt", **changes)
        network = run(build_without_dropout(), epochs=2, terms=(pull,), ranks=ranks)
        return network.state_dict(), [row["loss"] for row in run.reports]

    alone, losses = train_network(None)
    (first, first_losses), (second, _) = call_in_ranks(2, train_network, tmp_path)
    assert find_largest_difference(first, second) == 0
    assert find_largest_difference(first, alone) < 1e-9
    assert first_losses == pytest.approx(losses, abs=1e-6)


def test_mixed_images_are_those_of_one_process(tmp_path: Path) -> None:
    splits = draw_splits()

    def train_network(ranks: Ranks | None) -> Weights:
        network = nn.Sequential(Cast(torch.float64), build_without_dropout(), Cast(torch.float32))
        run = Run(splits, tmp_path / f"{ranks and ranks.rank}.ckpt", mixup=0.2, cutmix=1.0)
        return run(network, epochs=2, ranks=ranks).state_dict()

    alone = train_network(None)
    for weights in call_in_ranks(2, train_network, tmp_path):
        assert find_largest_difference(weights, alone) < 1e-6


def test_only_the_first_rank_writes_and_equal_ranks_resume_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_batches, "STEPS_PER_CHUNK", 3)
    monkeypatch.setattr(checkpoints, "LOOK_SECONDS", 0.0)
    splits = draw_splits()
    shared = tmp_path / "left.ckpt"

    def leave(ranks: Ranks) -> tuple[int, int]:
        state = leave_in_mid_epoch(Run(splits, shared), plain, ranks=ranks)
        return state.epoch, state.part.steps

    def train_whole(ranks: Ranks) -> Weights:
        return Run(splits, tmp_path / "whole.ckpt")(plain(), ranks=ranks).state_dict()

    def resume(ranks: Ranks) -> Weights:
        network = plain()
        nn.init.constant_(network[0].weight, ranks.rank)  # type: ignore[index, arg-type]  # as what each rank draws
        return Run(splits, shared)(network, ranks=ranks).state_dict()

    undisturbed, _ = call_in_ranks(2, train_whole, tmp_path)
    left, told = call_in_ranks(2, leave, tmp_path)
    assert left == (1, 3)
    assert "Connection" in told
    for weights in call_in_ranks(2, resume, tmp_path):
        assert find_largest_difference(weights, undisturbed) == 0


def test_a_rank_that_does_not_come_is_lost_but_the_first_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks_module, "PROMPT_TIMEOUT", timedelta(seconds=1))

    def be_late(ranks: Ranks) -> Any:
        def decide() -> str:
            time.sleep(2)
            return "decided"

        answers = [ranks.compute_in_first(decide)]
        if ranks.rank == 1:
            time.sleep(3)
            return answers
        with pytest.raises(RuntimeError, match="Timed out"):
            ranks.sum_value(1.0)
        return answers

    assert call_in_ranks(2, be_late, tmp_path) == [["decided"], ["decided"]]


def test_ranks_with_other_weights_are_refused(tmp_path: Path) -> None:
    splits = draw_splits()

    def train_network(ranks: Ranks) -> bool:
        network = plain()
        with torch.no_grad():
            network[0].bias += ranks.rank  # type: ignore[index, operator]
        return equal(Run(splits, tmp_path / "a.ckpt")(network, ranks=ranks), plain())

    assert call_in_ranks(2, train_network, tmp_path) == ["rank 1 has another network than rank 0"] * 2
