"""What can't be searched is refused in one line before anything runs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from convarium.compose.hydra_adapter import Composer
from convarium.config.search_path import list_search_folders
from convarium.errors import UserError
from convarium.search.typed_line import build_typed_space

MISTAKES = {
    "nothing sweeps": (["recipe.lr=0.1"], "nothing to search"),
    "no argument": ([], "nothing to search"),
    "only seeds": (["seed=0,1,2"], "nothing to search"),
    "upside down": (
        ["recipe.lr=interval(0.3,0.001)"],
        "interval(0.3,0.001): upside down: 0.3 is above 0.001",
    ),
    "of a word": (["recipe.schedule=interval(0,1)"], "recipe.schedule has no range, expected one of constant, cosine"),
    "of a text": (["recipe.optimizer=interval(0,1)"], "recipe.optimizer has no range, expected str"),
    "of a list": (["measurement.batch_sizes=interval(1,8)"], "measurement can't be searched"),
    "of a group": (["recipe=interval(0,1)"], "recipe is chosen by name"),
    "of a method's name": (["compression=range(1,3)"], "compression is chosen by name"),
    "below the key's range": (["recipe.lr=interval(-1,1)"], "recipe.lr=-1.0 is out of range"),
    "above the key's range": (
        ["compression=[kmeans]", "compression.kmeans.bits=interval(2,20)"],
        "compression.kmeans.bits=20 is out of range, expected int from 1 to 12",
    ),
    "half a bit": (
        ["compression=[kmeans]", "compression.kmeans.bits=interval(2.5,6)"],
        "compression.kmeans.bits takes whole numbers, not 2.5",
    ),
    "half an epoch": (["recipe.epochs=range(1,3,0.5)"], "recipe.epochs takes whole numbers, not 2.5"),
    "between choices": (
        ["compression=[levels]", "compression.levels.quant_max=interval(1,7)"],
        "compression.levels.quant_max=2: expected one of 1, 3, 7",
    ),
    "not finite": (["recipe.lr=interval(0.1,inf)"], "not a finite number"),
    "a logarithm from 0": (["recipe.lr=tag(log,interval(0,1))"], "only numbers above 0 have a logarithm"),
    "a logarithm with steps": (["recipe.lr=tag(log,range(0.1,1,0.1))"], "a logarithm has no steps"),
    "an unknown tag": (["recipe.lr=tag(loq,interval(0.1,1))"], "no such tag loq (did you mean log?)"),
    "a tag of a choice": (["recipe.lr=tag(log,choice(0.1,1))"], "a choice has no log"),
    "an empty range": (["recipe.epochs=range(5,5)"], "a range without a value"),
    "a huge range": (["recipe.lr=range(0,1,1e-9)"], "more than 100,000 values"),
    "intervals one after another": (["recipe.lr=interval(0,1),interval(2,3)"], "a list can't hold a sweep"),
    "an option that is none": (["recipe=sgd_cosine,adamm"], "recipe=adamm: no such recipe (did you mean adamw?)"),
    "a value that is none": (["recipe.schedule=cosine,linear"], "recipe.schedule=linear: expected one of"),
    "a value out of range": (["recipe.momentum=0.9,1.5"], "recipe.momentum=1.5 is out of range"),
    "a key that is none": (["recipe.lrr=interval(0,1)"], "recipe.lrr: no such key (did you mean lr?)"),
    "a key that one choice lacks": (
        ["architecture=resnet20,lenet5", "architecture.activation=relu,silu"],
        "architecture.activation: no such key",
    ),
    "a group that is none": (["recepie=a,b"], "recepie=a,b: no such group or key (did you mean recipe?)"),
    "a method that no choice has": (
        ["compression=none,[magnitude]", "compression.kmeans.bits=interval(2,6)"],
        "compression.kmeans.bits=interval(2,6): no choice has this method; add kmeans to compression=[…]",
    ),
    "a fixed knob of such a method": (
        ["compression=none,[magnitude]", "compression.kmeans.bits=3"],
        "compression.kmeans.bits=3: no choice has this method",
    ),
    "a knob of no compression": (["compression.kmeans.bits=2,3"], "no choice has this method"),
    "a knob that a budget decides": (
        ["compression=[magnitude]", "budget.bytes=9000", "compression.magnitude.sparsity=interval(0.5,0.9)"],
        "compression.magnitude.sparsity: a budget decides it in every trial",
    ),
    "two datasets": (["dataset=mnist,fashion_mnist"], "dataset=mnist,fashion_mnist: dataset can't be searched"),
    "a key of a dataset": (["dataset.train_size=interval(1000,2000)"], "dataset can't be searched"),
    "tasks": (["task.name=a,b"], "task can't be searched, trials would not be comparable"),
    "measurements": (["measurement.threads=1,2"], "measurement can't be searched"),
    "runtimes": (["runtime.workers=1,2"], "runtime decides no result and can't be swept"),
    "a range of runtimes": (["runtime.workers=interval(1,2)"], "runtime can't be searched, it decides no result"),
    "trackers": (["tracking=none,mlflow"], "tracking decides no result and can't be swept"),
    "a range of seeds": (["seed=interval(0,9)", "recipe.lr=0.1,0.2"], "a seed is not searched"),
    "a seed that is none": (["seed=a,b", "recipe.lr=0.1,0.2"], "seed='a' is str, expected int"),
    "no override": (["recipe.lr"], "expected key=value"),
}


@pytest.mark.parametrize(("typed", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_one_line(here: Path, typed: Sequence[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        build_typed_space(Composer(list_search_folders("conf")), typed)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
