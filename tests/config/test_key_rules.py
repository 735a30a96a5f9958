"""The rule of a single key: what its dataclass or its option's YAML says of it."""

from pathlib import Path

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.config.key_rules import find_key_rule
from convarium.config.override import Override
from convarium.config.search_path import list_search_folders
from convarium.errors import UserError

GROUPS = (
    Override("architecture=cross_layer/resnet20"),
    Override("compression=[pruning/magnitude,quantization/kmeans]"),
)


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        ("recipe.lr", "float of at least 0"),
        ("recipe.schedule", "one of constant, cosine, step, multistep, exponential, one_cycle"),
        ("recipe.early_stop", "int or null of at least 1"),
        ("budget.sparsity", "float or null from 0 to 1"),
        ("seed", "int of at least 0"),
        ("architecture.img_size", "int or null of at least 1"),
        ("architecture.dropout", "float"),
        ("compression.kmeans.bits", "int from 1 to 12"),
        ("compression.kmeans.initialisation", "one of linear, density, random"),
        ("compression.magnitude.kd.temperature", "float from 0.1 to 100"),
        ("compression.magnitude.per_site", "dict from 0 to 1"),
        ("compression.magnitude.per_site.conv1", " from 0 to 1"),
        ("architecture.kwargs.drop_rate", ""),
    ],
)
def test_a_key_has_the_rule_that_its_value_is_checked_by(here: Path, key: str, rule: str) -> None:
    default = Composer(list_search_folders("conf")).compose_groups(GROUPS)
    assert str(find_key_rule(key, default)) == rule


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("recipe.lrr", "recipe.lrr: no such key"),
        ("architecture.activatoin", r"architecture.activatoin: no such key \(did you mean activation"),
        ("compression.kmeans.bit", r"compression.kmeans.bit: no such key \(did you mean bits"),
        ("compression.magnitude.kd.temperatur", "compression.magnitude.kd.temperatur: no such key"),
        ("recipe", "expected a key of the group"),
    ],
)
def test_a_key_that_is_none_is_refused(here: Path, key: str, said: str) -> None:
    default = Composer(list_search_folders("conf")).compose_groups(GROUPS)
    with pytest.raises(UserError, match=said):
        find_key_rule(key, default)
