"""What a recipe may add to a fit: each does what it says, and a resumed fit ends in the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convarium.datasets.splits import Splits
from convarium.errors import UserError
from convarium.seeds import derive_seed
from convarium.tasks import checkpoint as checkpoints
from convarium.tasks.batch import Batch
from convarium.tasks.classification import split_batch
from convarium.tasks.evaluate import evaluate_network
from convarium.tasks.weight_average import WeightAverage
from tasks.fit_harness import KilledError, Run, draw_splits, equal, kill_at, parametrized, plain

INGREDIENTS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer": "adam", "lr": 0.003},
    "decay of weights only": {"weight_decay_on": "weights", "weight_decay": 0.1},
    "step": {"schedule": "step", "schedule_kwargs": {"step_size": 1, "gamma": 0.5}},
    "multistep": {"schedule": "multistep", "schedule_kwargs": {"milestones": [0.5], "gamma": 0.1}},
    "exponential": {"schedule": "exponential", "schedule_kwargs": {"gamma": 0.5}},
    "one cycle": {
        "schedule": "one_cycle", "warmup_epochs": 0,
        "schedule_kwargs": {"pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4},
    },
    "resized crop": {"augmentation": "resized_crop_flip"},
    "rand_augment": {"policy": "rand_augment"},
    "trivial_augment": {"policy": "trivial_augment"},
    "erasing": {"erasing": 0.5},
    "mixup": {"mixup": 0.2},
    "cutmix": {"cutmix": 1.0},
    "both mixtures": {"mixup": 0.2, "cutmix": 1.0},
    "average": {"final_weights": "ema", "ema_decay": 0.9},
    "parts": {"accumulate": 3},
    "all together": {
        "optimizer": "adam", "lr": 0.003, "augmentation": "resized_crop_flip", "policy": "trivial_augment",
        "erasing": 0.2, "mixup": 0.2, "cutmix": 1.0, "final_weights": "ema", "accumulate": 2, "precision": "bf16",
        "label_smoothing": 0.1, "early_stop": 3,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def splits() -> Splits:
    return draw_splits()


@pytest.fixture(scope="module")
def usual(splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    """What the recipe makes without any ingredient."""
    return Run(splits, tmp_path_factory.mktemp("usual") / "a.ckpt")(plain())


@pytest.mark.parametrize("ingredient", INGREDIENTS)
def test_it_changes_the_network_and_is_resumed_in_the_same_bits(
    ingredient: str, usual: nn.Module, splits: Splits, tmp_path: Path
) -> None:
    whole = Run(splits, tmp_path / "whole.ckpt", **INGREDIENTS[ingredient])
    undisturbed = whole(plain())
    assert not equal(undisturbed, usual)
    run = Run(splits, tmp_path / "killed.ckpt", **INGREDIENTS[ingredient])
    for step in (11, 13):
        with pytest.raises(KilledError):
            run(kill_at(plain(), step * INGREDIENTS[ingredient].get("accumulate", 1)))
    torch.manual_seed(3)
    assert equal(run(plain()), undisturbed)
    figures = [{key: value for key, value in row.items() if key != "seconds"} for row in run.reports]
    assert figures == [{key: value for key, value in row.items() if key != "seconds"} for row in whole.reports]


def build_without_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))


@pytest.mark.parametrize("parts", [2, 3, 8])
@pytest.mark.parametrize("changes", [{}, {"mixup": 0.3, "cutmix": 1.0, "erasing": 0.5}], ids=["plain", "mixed"])
def test_without_batch_norms_the_parts_of_a_batch_give_the_steps_of_the_whole(
    parts: int, changes: dict[str, Any], splits: Splits, tmp_path: Path
) -> None:
    def pull(batch: Batch) -> Tensor:
        return batch.logits.square().mean() + 0.1 * (batch.loss + batch.indices.double().mean() * 0)

    whole = Run(splits, tmp_path / "a.ckpt", **changes)(build_without_norm(), epochs=2, terms=(pull,))
    in_parts = Run(splits, tmp_path / "b.ckpt", accumulate=parts, **changes)(
        build_without_norm(), epochs=2, terms=(pull,)
    )
    for one, other in zip(whole.parameters(), in_parts.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_a_part_has_its_own_images(splits: Splits, tmp_path: Path) -> None:
    sizes: list[int] = []

    def look(batch: Batch) -> Tensor:
        assert splits.train is not None
        assert torch.equal(batch.images, splits.train.images[batch.indices])  # type: ignore[arg-type]
        assert torch.equal(batch.labels, splits.train.labels[batch.indices])
        sizes.append(len(batch.labels))
        return torch.zeros(())

    Run(splits, tmp_path / "a.ckpt", accumulate=3)(plain(), epochs=1, terms=(look,))
    assert sizes == [5, 5, 6] * 7 + [2, 3, 3]


@pytest.mark.parametrize(
    ("count", "parts", "sizes"), [(64, 4, [16] * 4), (5, 4, [2, 3]), (1, 4, [1]), (7, 3, [2, 2, 3])]
)
def test_no_part_of_a_batch_is_a_single_image(count: int, parts: int, sizes: list[int]) -> None:
    assert [len(range(count)[part]) for part in split_batch(count, parts)] == sizes


def test_mixed_images_are_trained_to_the_share_of_both_labels(splits: Splits, tmp_path: Path) -> None:
    seen = []

    def look(batch: Batch) -> Tensor:
        assert torch.allclose(batch.labels.sum(1), torch.ones(len(batch.labels)))
        by_hand = -(batch.labels * batch.logits.log_softmax(1)).sum(1).mean()
        assert torch.allclose(batch.loss, by_hand)
        seen.append(int(((batch.labels > 0) & (batch.labels < 1)).any(1).sum()))
        return torch.zeros(())

    Run(splits, tmp_path / "a.ckpt", mixup=1.0)(plain(), epochs=1, terms=(look,))
    assert sum(seen) > 60


def test_the_stored_network_is_the_average_over_the_steps(splits: Splits, tmp_path: Path) -> None:
    changes = {"schedule": "constant", "warmup_epochs": 0, "momentum": 0.0}
    run = Run(splits, tmp_path / "a.ckpt", final_weights="ema", ema_decay=0.8, **changes)
    stored = run(plain(), epochs=2)
    train, network = splits.train, plain()
    assert train is not None
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    sgd, step = torch.optim.SGD(network.parameters(), lr=0.05, weight_decay=5e-4), 0
    for epoch in range(2):
        generator = torch.Generator().manual_seed(derive_seed(7, "order", epoch))
        for indices in torch.randperm(120, generator=generator).split(16):
            torch.manual_seed(derive_seed(7, "step", step))
            sgd.zero_grad()
            nn.functional.cross_entropy(network(train.images[indices]), train.labels[indices]).backward()
            sgd.step()
            decay = min(0.8, (1 + step) / (10 + step))
            for name, tensor in network.state_dict().items():
                average[name] = decay * average[name] + (1 - decay) * tensor if tensor.is_floating_point() else tensor
            step += 1
    assert set(average) == set(stored.state_dict())
    for name, tensor in stored.state_dict().items():
        assert torch.allclose(tensor, average[name], atol=1e-6), name
    assert not torch.allclose(stored.state_dict()["1.running_mean"], network.state_dict()["1.running_mean"], atol=1e-4)


def test_validation_judges_the_average_and_training_goes_on_from_the_weights(splits: Splits, tmp_path: Path) -> None:
    run = Run(splits, tmp_path / "a.ckpt", final_weights="ema", ema_decay=0.99)
    stored = run(plain())
    assert splits.validation is not None
    accuracy = evaluate_network(stored, splits.validation)[0].double().mean().item()
    assert run.reports[-1]["validation_accuracy"] == accuracy
    state = checkpoints.read_state(run.checkpoint)
    last = Run(splits, tmp_path / "b.ckpt")(plain())
    assert state is not None
    assert all(torch.equal(tensor, state.network[name]) for name, tensor in last.state_dict().items())
    assert not equal(stored, last)


def test_an_average_of_equal_tensors_is_that_tensor() -> None:
    network = parametrized()
    average = WeightAverage(network, 0.9, None)
    for step in range(50):
        average.update(step)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in average.copy_state().items())


def test_a_tensor_under_two_names_is_itself_again_after_validation() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    second.weight = first.weight
    network = nn.Sequential(first, second)
    average = WeightAverage(network, 0.9, None)
    with torch.no_grad():
        first.weight.add_(1)
    own = first.weight.detach().clone()
    with average.swap_in():
        assert torch.allclose(first.weight, own - 1, atol=1e-6)
    assert torch.equal(first.weight, own)


class Shrinking(nn.Sequential):
    """A network that says it condenses."""

    is_condensed = False

    def drop_due_connections(self, progress: float) -> None:
        pass

    def penalty(self) -> Tensor:
        return torch.zeros(())

    def build_condensed(self) -> nn.Module:
        return self


def test_what_loses_connections_is_not_averaged(splits: Splits, tmp_path: Path) -> None:
    run: Callable[..., nn.Module] = Run(splits, tmp_path / "a.ckpt", final_weights="ema")
    with pytest.raises(UserError, match="loses connections while it trains; take last or best"):
        run(Shrinking(*plain()))  # type: ignore[arg-type]
