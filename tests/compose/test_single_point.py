"""One point of overrides with a single value each, as a search composes its trials."""

import time
from pathlib import Path

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.compose.points import compose_points
from convarium.compose.single_point import compose_single_point, drop_idle_knobs
from convarium.config.override import Override
from convarium.config.search_path import list_search_folders
from convarium.errors import UserError

CHAIN = ("compression=[pruning/magnitude,quantization/kmeans]", "compression.magnitude.sparsity=0.75", "seed=2")


@pytest.fixture
def composer(here: Path) -> Composer:
    return Composer(list_search_folders("conf"))


def as_overrides(*texts: str) -> tuple[Override, ...]:
    return tuple(map(Override, texts))


def test_it_is_the_point_that_a_command_line_of_the_same_overrides_has(composer: Composer) -> None:
    assert compose_points(CHAIN).points == (compose_single_point(composer, as_overrides(*CHAIN)),)


def test_knobs_of_methods_that_it_does_not_have_are_left_out(composer: Composer) -> None:
    overrides = as_overrides("compression.uniform.bits=4", *CHAIN, "compression.huffman.nothing=1")
    assert drop_idle_knobs(composer, overrides) == CHAIN
    assert compose_single_point(composer, overrides).overrides == CHAIN


def test_the_password_of_an_address_is_in_neither_its_overrides_nor_its_config(composer: Composer) -> None:
    overrides = as_overrides("tracking=mlflow", "tracking.uri=postgresql://me:secret@host/db")
    assert "secret" not in repr(compose_single_point(composer, overrides))


def test_a_mistake_is_said_as_run_says_it(composer: Composer) -> None:
    with pytest.raises(UserError, match=r"recipe.lr=-1.0 is out of range"):
        compose_single_point(composer, as_overrides("recipe.lr=-1"))


def test_a_further_point_with_new_numbers_takes_milliseconds(composer: Composer) -> None:
    def compose(index: int) -> None:
        numbers = f"recipe.lr={0.1 + index / 1e6!r}", f"compression.magnitude.sparsity={0.5 + index / 1e6!r}"
        compose_single_point(composer, as_overrides(CHAIN[0], *numbers))

    compose(0)
    start = time.process_time()
    for index in range(1, 101):
        compose(index)
    assert (time.process_time() - start) / 100 < 0.02
