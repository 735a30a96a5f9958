"""A recipe as a whole: what is set in vain or does not go together is refused, and what is not set leaves no trace."""

from dataclasses import fields
from typing import Any

import pytest

from convarium.compose.points import compose_points
from convarium.config.checker import check_closed_group
from convarium.config.recipe import (
    TRACELESS_KEYS,
    check_recipe,
    drop_default_keys,
    has_changed_images,
    list_traceless_defaults,
    restore_default_keys,
)
from convarium.config.schema import RecipeConfig
from convarium.errors import UserError

SHORT = {"optimizer": "sgd", "lr": 0.1, "epochs": 2, "batch_size": 8}
FIRST_KEYS = {
    "optimizer", "lr", "epochs", "batch_size", "momentum", "weight_decay", "schedule", "warmup_epochs", "augmentation",
    "label_smoothing", "gradient_clip", "precision", "early_stop", "final_weights",
}  # fmt: skip


def check(channels: int = 3, **changes: Any) -> dict[str, Any]:
    return check_recipe(check_closed_group({**SHORT, **changes}, RecipeConfig, "recipe"), channels)


def test_keys_that_came_later_leave_no_trace_at_their_defaults() -> None:
    assert {field.name for field in fields(RecipeConfig)} == FIRST_KEYS | {*TRACELESS_KEYS}
    assert set(check()) == FIRST_KEYS
    assert check(**list_traceless_defaults()) == check()
    (shipped,) = compose_points([]).check_points()
    assert set(shipped.config["recipe"]) == FIRST_KEYS


def test_a_key_that_is_set_is_hashed_and_read_back() -> None:
    recipe = check(mixup=0.2, accumulate=2)
    assert set(recipe) == {*FIRST_KEYS, "mixup", "accumulate"}
    whole = restore_default_keys(recipe)
    assert (whole["mixup"], whole["accumulate"], whole["policy"]) == (0.2, 2, "none")
    assert drop_default_keys(whole) == recipe


@pytest.mark.parametrize(
    ("changes", "kwargs"),
    [
        ({"schedule": "step", "schedule_kwargs": {"step_size": 3}}, {"step_size": 3, "gamma": 0.1}),
        (
            {"schedule": "multistep", "schedule_kwargs": {"milestones": [0.5, 30]}},
            {"milestones": [0.5, 30.0], "gamma": 0.1},
        ),
        ({"schedule": "one_cycle"}, {"pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4}),
    ],
)
def test_arguments_of_a_schedule_are_complete(changes: dict[str, Any], kwargs: dict[str, Any]) -> None:
    assert check(**changes)["schedule_kwargs"] == kwargs


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"optimizer": "torch.nn:Linear"},
            "recipe.optimizer='torch.nn:Linear': expected sgd, adam, adamw or",
        ),
        ({"optimizer": "acme.optim:Mine"}, "expected sgd, adam, adamw or one of torch such as torch.optim:NAdam"),
        ({"schedule": "step"}, "recipe.schedule_kwargs.step_size is missing, expected int of at least 1"),
        ({"schedule": "exponential", "schedule_kwargs": {"gama": 1}}, "gama: no such key (did you mean gamma?)"),
        ({"schedule_kwargs": {"gamma": 0.1}}, "recipe.schedule_kwargs.gamma: no such key"),
        ({"schedule": "multistep", "schedule_kwargs": {"milestones": []}}, "milestones=[]: expected epochs, or shares"),
        ({"schedule": "one_cycle", "warmup_epochs": 1}, "recipe.warmup_epochs=1: the schedule one_cycle has a rise of"),
        ({"ema_decay": 0.9}, "recipe.ema_decay=0.9 is read with recipe.final_weights=ema only, not with last"),
        ({"policy_ops": 3, "policy": "trivial_augment"}, "read with recipe.policy=rand_augment only"),
        ({"smallest_crop": 0.5, "augmentation": "crop"}, "read with recipe.augmentation=resized_crop_flip only"),
        ({"accumulate": 5}, "recipe.accumulate=5: a batch of recipe.batch_size=8 has at most 4 parts of 2 images"),
        ({"policy": "rand_augment", "channels": 4}, "works on grey and RGB images, not on 4 channels"),
        ({"erasing": 1.5}, "recipe.erasing=1.5 is out of range"),
    ],
)
def test_what_does_not_go_together_is_one_line(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as error:
        check(**changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [{"augmentation": "crop"}, {"policy": "trivial_augment"}, {"erasing": 0.1}, {"mixup": 0.1}, {"cutmix": 1.0}],
)
def test_a_teacher_has_to_look_again_at_images_that_are_changed(changes: dict[str, Any]) -> None:
    assert not has_changed_images(check(accumulate=2, final_weights="ema"))
    assert has_changed_images(check(**changes))
