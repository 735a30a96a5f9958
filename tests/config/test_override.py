"""An override is the text that was typed, and knows its parts."""

import json
import pickle

import pytest

from convarium.config.override import Override


@pytest.mark.parametrize(
    ("text", "prefix", "key", "value", "group", "method"),
    [
        ("seed=0", "", "seed", "0", "seed", None),
        ("recipe.epochs=1,2", "", "recipe.epochs", "1,2", "recipe", None),
        ("compression=[magnitude,kmeans]", "", "compression", "[magnitude,kmeans]", "compression", None),
        ("compression.kd.teacher.seed=3", "", "compression.kd.teacher.seed", "3", "compression", "kd"),
        ("++dataset.root=a=b", "++", "dataset.root", "a=b", "dataset", None),
        ("~recipe.augment", "~", "recipe.augment", "", "recipe", None),
        ("hydra/launcher=basic", "", "hydra/launcher", "basic", "hydra/launcher", None),
    ],
)
def test_the_parts_of_an_override(text: str, prefix: str, key: str, value: str, group: str, method: str | None) -> None:
    override = Override(text)
    assert (override.prefix, override.key, override.value) == (prefix, key, value)
    assert (override.group, override.method) == (group, method)


def test_it_is_its_text_wherever_a_text_is_read() -> None:
    override = Override("++recipe.lr=0.1")
    assert override == "++recipe.lr=0.1"
    assert json.loads(json.dumps([override])) == ["++recipe.lr=0.1"]
    assert pickle.loads(pickle.dumps(override)).key == "recipe.lr"
