"""A recipe as a whole: what goes with what, and the keys that leave no trace while they are at their defaults."""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any

from convarium.config.checker import check_closed_group
from convarium.config.messages import format_value, suggest_nearest
from convarium.config.schema import Fraction, Positive, RecipeConfig
from convarium.config.suggestions import VALUES_MEANT
from convarium.errors import UserError

Json = dict[str, Any]
OPTIMIZERS = ("sgd", "adam", "adamw")
TORCH_OPTIMIZER = re.compile(r"torch\.optim:[A-Za-z]\w*", re.ASCII)
SMALLEST_PART = 2  # images: batch normalisation has no statistics of a single one
POLICY_CHANNELS = (1, 3)
TRACELESS_KEYS = (
    "optimizer_kwargs", "weight_decay_on", "schedule_kwargs", "smallest_crop", "policy", "policy_ops",
    "policy_magnitude", "erasing", "mixup", "cutmix", "accumulate", "ema_decay",
)  # fmt: skip
# A key, and the value of another one without which nothing reads it.
KEYS_OF_A_CHOICE = (
    ("smallest_crop", "augmentation", "resized_crop_flip"),
    ("policy_ops", "policy", "rand_augment"),
    ("policy_magnitude", "policy", "rand_augment"),
    ("ema_decay", "final_weights", "ema"),
)


@dataclass(frozen=True)
class NoKwargs:
    """A schedule without any."""


@dataclass(frozen=True)
class StepKwargs:
    """The rate is multiplied by `gamma` every `step_size` epochs."""

    step_size: Positive
    gamma: Fraction = 0.1


@dataclass(frozen=True)
class MultistepKwargs:
    """The rate is multiplied by `gamma` at each milestone: an epoch, or below 1 a share of all epochs."""

    milestones: list[Annotated[float, "0.."]]
    gamma: Fraction = 0.1


@dataclass(frozen=True)
class ExponentialKwargs:
    """The rate is multiplied by `gamma` after every epoch."""

    gamma: Fraction


@dataclass(frozen=True)
class OneCycleKwargs:
    """The rate rises from lr / div_factor over a share of all steps, then falls to that over final_div_factor."""

    pct_start: Fraction = 0.3
    div_factor: Annotated[float, "1.."] = 25.0
    final_div_factor: Annotated[float, "1.."] = 1e4


SCHEDULE_KWARGS: Mapping[str, type] = {
    "constant": NoKwargs,
    "cosine": NoKwargs,
    "step": StepKwargs,
    "multistep": MultistepKwargs,
    "exponential": ExponentialKwargs,
    "one_cycle": OneCycleKwargs,
}


def check_recipe(recipe: Mapping[str, Any], channels: int) -> Json:
    """Return a recipe whose keys are checked one by one without those that leave no trace.

    Args:
        recipe: complete, as its dataclass checks it.
        channels: of the dataset's images.

    Raises:
        UserError: an optimiser or an argument of a schedule that is not there, a key that nothing reads, a policy for
            images that are neither grey nor RGB, or parts of a batch that are too small.
    """
    checked = {**recipe, "schedule_kwargs": _check_schedule(recipe)}
    if not TORCH_OPTIMIZER.fullmatch(recipe["optimizer"]):
        _check_own_optimizer(recipe["optimizer"])
    _check_read_keys(checked)
    if checked["policy"] != "none" and channels not in POLICY_CHANNELS:
        raise UserError(f"recipe.policy={checked['policy']} works on grey and RGB images, not on {channels} channels")
    accumulate, batch_size = checked["accumulate"], checked["batch_size"]
    if accumulate > 1 and accumulate * SMALLEST_PART > batch_size:
        raise UserError(
            f"recipe.accumulate={accumulate}: a batch of recipe.batch_size={batch_size} has at most"
            f" {max(1, batch_size // SMALLEST_PART)} parts of {SMALLEST_PART} images"
        )
    return drop_default_keys(checked)


def _check_own_optimizer(name: str) -> None:
    if name in OPTIMIZERS:
        return
    near = suggest_nearest(name, OPTIMIZERS)
    meant = VALUES_MEANT.get(name.lower(), "")
    if TORCH_OPTIMIZER.fullmatch(meant):
        near = f" (did you mean {meant}?)"
    hint = near if "did you" in near else ""
    expected = f"{', '.join(OPTIMIZERS)} or one of torch such as torch.optim:NAdam"
    raise UserError(f"recipe.optimizer={format_value(name)}: expected {expected}{hint}")


def _check_schedule(recipe: Mapping[str, Any]) -> Json:
    """Return the arguments of the recipe's schedule, all of them."""
    name = recipe["schedule"]
    kwargs = check_closed_group(recipe["schedule_kwargs"], SCHEDULE_KWARGS[name], "recipe.schedule_kwargs")
    if kwargs.get("milestones") == []:
        raise UserError("recipe.schedule_kwargs.milestones=[]: expected epochs, or shares of all epochs below 1")
    if name == "one_cycle" and recipe["warmup_epochs"]:
        raise UserError(
            f"recipe.warmup_epochs={recipe['warmup_epochs']}: the schedule one_cycle has a rise of its own"
            " (schedule_kwargs.pct_start); set recipe.warmup_epochs=0"
        )
    return kwargs


def _check_read_keys(recipe: Mapping[str, Any]) -> None:
    """Refuse what is set in vain."""
    defaults = list_traceless_defaults()
    for key, owner, choice in KEYS_OF_A_CHOICE:
        if recipe[owner] != choice and recipe[key] != defaults[key]:
            raise UserError(
                f"recipe.{key}={format_value(recipe[key])} is read with recipe.{owner}={choice} only,"
                f" not with {recipe[owner]}"
            )


@cache
def list_traceless_defaults() -> Json:
    """Return the defaults of the keys that leave no trace."""
    defaults = {}
    for field in fields(RecipeConfig):
        if field.name in TRACELESS_KEYS:
            assert field.default is not MISSING or field.default_factory is not MISSING
            defaults[field.name] = field.default if field.default_factory is MISSING else field.default_factory()
    return defaults


def drop_default_keys(recipe: Mapping[str, Any]) -> Json:
    """Return a recipe as it is hashed: of the keys that are younger than the first signatures only those that are set.

    So a recipe of before is the same recipe still.
    """
    defaults = list_traceless_defaults()
    return {key: value for key, value in recipe.items() if key not in defaults or value != defaults[key]}


def restore_default_keys(recipe: Mapping[str, Any]) -> Json:
    """Return a recipe as it is read: with all its keys."""
    return {**list_traceless_defaults(), **recipe}


def has_changed_images(recipe: Mapping[str, Any]) -> bool:
    """Whether batches show other pixels than the training images'."""
    whole = restore_default_keys(recipe)
    is_augmented = whole["augmentation"] != "none" or whole["policy"] != "none"
    return is_augmented or any(whole[key] > 0 for key in ("erasing", "mixup", "cutmix"))
