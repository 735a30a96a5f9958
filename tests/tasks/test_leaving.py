"""A fit that is told to leave keeps what it has done in mid-epoch, and goes on from there bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.datasets import train_batches
from convarium.datasets.splits import Splits
from convarium.errors import StageFailed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Batch
from tasks.fit_harness import KilledError, Run, draw_splits, equal, leave_in_mid_epoch, parametrized, plain

STEPS_PER_CHUNK = 3  # of the eight of an epoch


@pytest.fixture(scope="module")
def splits() -> Splits:
    return draw_splits()


@pytest.fixture(autouse=True)
def _short_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(train_batches, "STEPS_PER_CHUNK", STEPS_PER_CHUNK)


def pull(batch: Batch) -> Tensor:
    return batch.logits.square().mean() * 0.1


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (plain, {"augmentation": "crop_flip", "mixup": 0.2, "cutmix": 1.0}),
        (parametrized, {"optimizer": "adamw", "lr": 0.003, "final_weights": "ema", "ema_decay": 0.9, "accumulate": 3}),
        (parametrized, {"final_weights": "best", "early_stop": 2, "lr": 0.2, "gradient_clip": 1.0}),
    ],
    ids=["mixed", "averaged in parts", "best and early stop"],
)
def test_a_fit_that_left_in_mid_epoch_goes_on_bit_for_bit(
    build: Callable[[], nn.Module], changes: dict[str, Any], splits: Splits, tmp_path: Path
) -> None:
    whole = Run(splits, tmp_path / "whole.ckpt", **changes)
    undisturbed = whole(build(), terms=(pull,))
    run = Run(splits, tmp_path / "left.ckpt", **changes)
    state = leave_in_mid_epoch(run, build, terms=(pull,))
    assert (state.epoch, state.part.steps) == (1, STEPS_PER_CHUNK)
    torch.manual_seed(3)
    assert equal(run(build(), terms=(pull,)), undisturbed)
    figures = [{key: value for key, value in row.items() if key != "seconds"} for row in run.reports]
    assert figures == [{key: value for key, value in row.items() if key != "seconds"} for row in whole.reports]


def test_whoever_is_told_to_leave_does_so_in_the_first_epoch_too(splits: Splits, tmp_path: Path) -> None:
    def leave() -> None:
        raise KilledError

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(KilledError):
        run(plain(), is_told_to_leave=lambda: True, note_checkpoint=leave)
    state = checkpoints.read_state(run.checkpoint)
    assert state is not None
    assert (state.epoch, state.part.steps, run.reports) == (0, STEPS_PER_CHUNK, [])
    assert equal(run(plain()), Run(splits, tmp_path / "b.ckpt")(plain()))


def test_it_asks_at_most_once_a_second(splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> bool:
        asked.append(1)
        return False

    monkeypatch.setattr(checkpoints, "LOOK_SECONDS", 3600.0)
    Run(splits, tmp_path / "a.ckpt")(plain(), epochs=2, is_told_to_leave=ask)
    assert len(asked) == 1


@pytest.mark.parametrize(("minutes", "count"), [(1e-9, 6), (60, 2), (0, 2), (None, 2)])
def test_a_checkpoint_is_due_in_mid_epoch_after_some_minutes(
    minutes: float | None, count: int, splits: Splits, tmp_path: Path
) -> None:
    written: list[int] = []
    run = Run(splits, tmp_path / "a.ckpt")
    run(plain(), epochs=2, checkpoint_minutes=minutes, note_checkpoint=lambda: written.append(1))
    assert len(written) == count


def test_the_lease_is_looked_at_before_a_checkpoint_in_mid_epoch(splits: Splits, tmp_path: Path) -> None:
    def lose() -> None:
        raise KilledError

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(KilledError):
        run(plain(), is_told_to_leave=lambda: True, check=lose)
    assert not run.checkpoint.exists()


def test_broken_weights_are_not_kept_in_mid_epoch(splits: Splits, tmp_path: Path) -> None:
    network = plain()

    def break_weights(batch: Batch) -> Tensor:
        with torch.no_grad():
            network[0].bias.fill_(float("nan"))  # type: ignore[index, operator, union-attr]
        return torch.zeros(())

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(StageFailed, match="NaN"):
        run(network, is_told_to_leave=lambda: True, terms=(break_weights,))
    assert not run.checkpoint.exists()


def test_a_checkpoint_of_before_is_read_as_one_of_an_epochs_end(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt")
    run(plain(), epochs=1)
    values = torch.load(run.checkpoint, weights_only=True)
    del values["part"]
    torch.save(values, run.checkpoint)
    state = checkpoints.read_state(run.checkpoint)
    assert state is not None
    assert state.part == checkpoints.EpochPart()
