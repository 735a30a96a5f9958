"""Training: learns, resumes bit for bit from any kill, keeps the best, stops early, says when the loss breaks."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.datasets.splits import Splits
from convarium.errors import StageFailed, UserError
from convarium.seeds import derive_seed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Batch
from convarium.tasks.evaluate import evaluate_network
from tasks.fit_harness import RECIPE, KilledError, Run, draw_splits, equal, kill_at, parametrized, plain


@pytest.fixture(scope="module")
def splits() -> Splits:
    return draw_splits()


def test_it_learns_and_reports_every_epoch(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt")
    network = run(plain())
    assert splits.validation is not None
    accuracy = evaluate_network(network, splits.validation)[0].double().mean().item()
    assert accuracy > 0.6
    assert [row["epoch"] for row in run.reports] == [1, 2, 3, 4]
    assert run.reports[-1]["validation_accuracy"] == accuracy
    assert run.reports[-1]["loss"] < run.reports[0]["loss"]
    assert run.reports[0]["lr"] == RECIPE["lr"] > run.reports[-1]["lr"] > 0
    assert set(run.reports[0]) == {"epoch", "epochs", "loss", "lr", "validation_accuracy", "seconds"}


@pytest.mark.parametrize("clip", [None, 0.1])
def test_it_takes_the_same_steps_as_a_loop_written_by_hand(clip: float | None, splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt", schedule="constant", warmup_epochs=0, gradient_clip=clip)
    ours = run(plain(), epochs=2)
    train, network = splits.train, plain()
    assert train is not None
    sgd, step = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4), 0
    for epoch in range(2):
        generator = torch.Generator().manual_seed(derive_seed(7, "order", epoch))
        for indices in torch.randperm(120, generator=generator).split(16):
            torch.manual_seed(derive_seed(7, "step", step))
            loss = nn.functional.cross_entropy(network(train.images[indices]), train.labels[indices])
            sgd.zero_grad()
            loss.backward()
            if clip is not None:
                assert nn.utils.clip_grad_norm_(network.parameters(), clip) > clip
            sgd.step()
            step += 1
    assert equal(ours, network)


@pytest.mark.parametrize(
    ("build", "changes"),
    [
        (plain, {}),
        (parametrized, {"optimizer": "adamw", "lr": 0.003}),
        (plain, {"augmentation": "crop_flip", "label_smoothing": 0.1}),
        (parametrized, {"final_weights": "best", "early_stop": 2}),
        (plain, {"precision": "bf16"}),
    ],
    ids=["plain", "parametrized adam", "augmented", "best and early stop", "bf16"],
)
@pytest.mark.parametrize("step", [3, 8, 21])
def test_resume_is_bit_equal_after_a_kill_in_any_epoch(
    splits: Splits, tmp_path: Path, build: Callable[[], nn.Module], changes: dict[str, Any], step: int
) -> None:
    whole = Run(splits, tmp_path / "whole.ckpt", **changes)
    undisturbed = whole(build())
    run = Run(splits, tmp_path / "killed.ckpt", **changes)
    with pytest.raises(KilledError):
        run(kill_at(build(), step))
    torch.manual_seed(step)
    assert equal(run(build()), undisturbed)
    rows = [{key: value for key, value in row.items() if key != "seconds"} for row in run.reports]
    assert rows == [{key: value for key, value in row.items() if key != "seconds"} for row in whole.reports]


def test_a_lost_lease_leaves_the_checkpoint_of_the_epoch_before(splits: Splits, tmp_path: Path) -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KilledError

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(KilledError):
        run(plain(), check=check)
    state = checkpoints.read_state(run.checkpoint)
    assert state is not None
    assert state.epoch == 1
    assert equal(run(plain()), Run(splits, tmp_path / "b.ckpt")(plain()))


def test_a_finished_fit_returns_at_once_with_the_same_random_state(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt", final_weights="best")
    first, after = run(plain()), torch.rand(3)
    count = len(run.reports)
    assert equal(run(kill_at(plain(), 0)), first)
    assert torch.equal(torch.rand(3), after)
    assert len(run.reports) == count


def test_best_is_the_network_of_the_best_epoch(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt", final_weights="best", lr=0.2, schedule="constant")
    network = run(plain(), epochs=6)
    accuracies = [row["validation_accuracy"] for row in run.reports]
    assert accuracies[-1] < max(accuracies), "this recipe must overshoot, or the test shows nothing"
    assert splits.validation is not None
    assert evaluate_network(network, splits.validation)[0].double().mean().item() == max(accuracies)


def test_early_stop_ends_after_epochs_without_a_better_accuracy(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt", early_stop=2, lr=1e-9, schedule="constant", warmup_epochs=0, momentum=0.0)
    network = plain()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0
    run(network, epochs=9)
    assert [row["epoch"] for row in run.reports] == [1, 2, 3]


def test_the_checkpoint_holds_the_structure_and_loads_without_code(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt")
    run(parametrized(), epochs=1, structure={"5.weight": {"kind": "scaled"}})
    assert checkpoints.read_structure(run.checkpoint) == {"5.weight": {"kind": "scaled"}}
    assert "5.parametrizations.weight.original" in torch.load(run.checkpoint, weights_only=True)["network"]
    assert list(tmp_path.iterdir()) == [run.checkpoint]
    with pytest.raises(StageFailed, match="holds another network structure"):
        run(plain(), epochs=1)


def test_a_damaged_checkpoint_means_starting_anew_with_one_line_of_warning(
    splits: Splits, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run(splits, tmp_path / "a.ckpt")
    network = run(plain(), epochs=2)
    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:1000])
    assert equal(run(plain(), epochs=2), network)
    (told,) = [record.getMessage() for record in caplog.records if record.name == checkpoints.__name__]
    assert told.startswith(f"{run.checkpoint} is damaged and is left out, what it held is trained anew: ")
    assert "\n" not in told


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 GB")])
def test_a_checkpoint_for_which_memory_does_not_suffice_stays(
    error: Exception, splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    run = Run(splits, tmp_path / "a.ckpt")
    run(plain(), epochs=1)
    before = run.checkpoint.read_bytes()
    monkeypatch.setattr(torch, "load", refuse)
    with pytest.raises(type(error)):
        checkpoints.read_state(run.checkpoint)
    assert run.checkpoint.read_bytes() == before


def test_a_stop_during_an_epoch_keeps_that_epoch(splits: Splits, tmp_path: Path) -> None:
    def stop() -> None:
        raise KilledError

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(KilledError):
        run(plain(), note_checkpoint=stop)
    state = checkpoints.read_state(run.checkpoint)
    assert state is not None
    assert state.epoch == 1
    assert equal(run(plain()), Run(splits, tmp_path / "b.ckpt")(plain()))


def test_nan_ends_with_one_line_and_keeps_the_last_good_checkpoint(splits: Splits, tmp_path: Path) -> None:
    calls = [0]

    def breaks(batch: Batch) -> Tensor:
        calls[0] += 1
        return torch.tensor(float("nan") if calls[0] > 20 else 0.0)

    run = Run(splits, tmp_path / "a.ckpt")
    with pytest.raises(StageFailed, match=r"^loss became NaN in epoch 3 .*lower the learning rate .now 0\.05"):
        run(plain(), terms=(breaks,))
    state = checkpoints.read_state(run.checkpoint)
    assert state is not None
    assert state.epoch == 2
    assert all(torch.isfinite(value).all() for value in state.network.values())


def test_terms_are_added_to_the_loss(splits: Splits, tmp_path: Path) -> None:
    def pull(batch: Batch) -> Tensor:
        assert len(batch.indices) == len(batch.labels) == len(batch.logits)
        return 3 * batch.network[5].weight.square().sum()  # type: ignore[index, operator]

    free = Run(splits, tmp_path / "a.ckpt")(plain())
    pulled = Run(splits, tmp_path / "b.ckpt")(plain(), terms=(pull,))
    assert pulled[5].weight.norm() < 0.3 * free[5].weight.norm()  # type: ignore[index]


def test_only_what_requires_gradients_is_trained(splits: Splits, tmp_path: Path) -> None:
    network = plain()
    network[0].requires_grad_(False)  # type: ignore[index]
    Run(splits, tmp_path / "a.ckpt")(network, epochs=1)
    assert torch.equal(network[0].weight, plain()[0].weight)  # type: ignore[index, arg-type]
    assert not torch.equal(network[5].weight, plain()[5].weight)  # type: ignore[index, arg-type]
    with pytest.raises(StageFailed, match="nothing to train"):
        Run(splits, tmp_path / "b.ckpt")(plain().requires_grad_(False))


def test_without_validation_images_training_works_but_nothing_can_be_chosen(splits: Splits, tmp_path: Path) -> None:
    blind = Splits(splits.train, None, None, (0.0,), (1.0,))
    run = Run(blind, tmp_path / "a.ckpt")
    run(plain(), epochs=1)
    assert run.reports[0]["validation_accuracy"] is None
    with pytest.raises(UserError, match="need validation images"):
        Run(blind, tmp_path / "b.ckpt", final_weights="best")(plain())


def test_an_interrupt_stays_one_and_the_next_is_heard_too(splits: Splits, tmp_path: Path) -> None:
    def interrupt() -> None:
        signal.raise_signal(signal.SIGINT)

    run = Run(splits, tmp_path / "a.ckpt")
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(plain(), check=interrupt)
    assert equal(run(plain()), Run(splits, tmp_path / "b.ckpt")(plain()))


def test_zero_epochs_change_nothing(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt")
    assert equal(run(plain(), epochs=0), plain())
    assert not run.checkpoint.exists()
