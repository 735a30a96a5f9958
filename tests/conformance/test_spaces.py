"""Our spaces do what every space must do."""

from typing import ClassVar

import pytest

from convarium.conformance import SpaceSuite

pytestmark = pytest.mark.usefixtures("here")


class TestTyped(SpaceSuite):
    space = "typed"
    overrides: ClassVar = ("compression=none,magnitude,[magnitude,kmeans]", "compression.kmeans.bits=2,3,4", "seed=0,1")
    size = 1 + 1 + 3
    samples = 300


class TestRecipe(SpaceSuite):
    space = "recipe"
    samples = 300
    required_names: ClassVar = ("recipe", "recipe.lr", "recipe.weight_decay")


class TestPipeline(SpaceSuite):
    space = "pipeline"
    samples = 300
    required_names: ClassVar = (
        "pipeline.pruning",
        "pipeline.coding",
        "pipeline.order(filter_l1,svd)",
        "pipeline.magnitude.sparsity",
        "pipeline.kmeans.bits",
        "pipeline.levels.quant_max",
    )


@pytest.mark.nightly
class TestManyRecipes(TestRecipe):
    samples = 10_000


@pytest.mark.nightly
class TestManyPipelines(TestPipeline):
    samples = 10_000
