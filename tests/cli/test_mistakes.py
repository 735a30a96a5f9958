"""Every kind of mistake in a command line ends in one line, exit code 2, no traceback, nothing stored."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli import main

MISTAKES = {
    "unknown group": (["archtecture=lenet5"], "archtecture=lenet5: no such group or key (did you mean architecture?)"),
    "unknown option": (["architecture=resnet21"], "no such architecture (did you mean cross_layer/resnet20?)"),
    "a network of timm": (
        ["architecture=resnet26t"],
        "architecture=resnet26t: no such architecture; did you mean architecture=timm architecture.name=resnet26t?",
    ),
    "nearly a network of torchvision": (
        ["architecture=squeezenet1_2"],
        "did you mean architecture=torchvision architecture.name=squeezenet1_",
    ),
    "images that are too small": (["architecture=alexnet"], "the next size that it takes is 63 (dataset.img_size=63)"),
    "no knob of the builder": (
        ["architecture=resnet20", "architecture.kwargs.depth=3"],
        "architecture.kwargs.depth: resnet20 takes convolution, dropconnect",
    ),
    "unknown method in a list": (["compression=[magnitude,kmean]"], "(did you mean quantization/kmeans?)"),
    "a list where one name is due": (["architecture=[lenet5]"], "architecture=['lenet5']: expected one name"),
    "a number for a name": (["dataset=5"], "dataset=5: expected one name"),
    "unknown key": (["recipe.epoch=1"], "recipe.epoch: no such key (did you mean epochs?)"),
    "unknown key in a sweep": (["recipe.epoch=1,2", "seed=0,1"], "recipe.epoch: no such key (did you mean epochs?)"),
    "unknown top key": (["sead=1"], "sead=1: no such group or key (did you mean seed?)"),
    "added key": (["+recipe.foo=1"], "recipe.foo: no such key"),
    "removed key": (["~recipe.lr"], "recipe.lr is missing"),
    "a key below a value": (["recipe.lr.x=1"], "recipe.lr is a value, it has no keys"),
    "a value for a group of keys": (["recipe.epochs={a:1}"], "recipe.epochs={'a': 1} is dict"),
    "wrong type": (["recipe.epochs='3'"], "recipe.epochs='3' is str, expected int"),
    "a fraction for a count": (["recipe.epochs=1.5"], "recipe.epochs=1.5 is float, expected int"),
    "not a number": (["recipe.lr=nan"], "recipe.lr=nan is not a finite number"),
    "infinite": (["recipe.lr=inf"], "recipe.lr=inf is not a finite number"),
    "out of range": (["recipe.momentum=1.5"], "recipe.momentum=1.5 is out of range, expected float from 0 to 1"),
    "no such choice": (
        ["recipe.optimizer=sdg"],
        "recipe.optimizer=sdg: expected sgd, adam, adamw or one of torch such as torch.optim:NAdam (did you mean sgd?)",
    ),
    "an optimiser that needs a closure": (
        ["recipe.optimizer=torch.optim:LBFGS"],
        "recipe.optimizer=torch.optim:LBFGS can't train a network: LBFGS.step() missing 1 required positional argument",
    ),
    "no argument of the optimiser": (
        ["recipe.optimizer=adam", "recipe.optimizer_kwargs={beta:1}"],
        "recipe.optimizer_kwargs.beta: adam has no such argument (did you mean betas?)",
    ),
    "a schedule without its argument": (["recipe.schedule=step"], "recipe.schedule_kwargs.step_size is missing"),
    "an experiment without a name": (
        ["tracking=mlflow", "tracking.experiment=' '"],
        "tracking.experiment is empty, expected a name such as",
    ),
    "negative seed": (["seed=-1"], "seed=-1 is out of range"),
    "a knob out of range": (["compression=magnitude", "compression.magnitude.sparsity=1.5"], "sparsity=1.5 is out of"),
    "unknown knob": (["compression=magnitude", "compression.magnitude.sparsty=0.5"], "(did you mean sparsity?)"),
    "a knob no point uses": (["compression=kmeans", "compression.magnitude.sparsity=0.5"], "no point uses this method"),
    "a knob of no method": (["compression=kmeans", "compression.kmean.bits=5"], "(did you mean kmeans?)"),
    "added step": (["compression=kmeans", "+compression.foo.x=1"], "compression.foo.x: no point uses this method"),
    "method twice": (["compression=[magnitude,pruning/magnitude]"], "pruning/magnitude is there twice"),
    "refused order": (
        ["compression=[kmeans,magnitude]"],
        "pruning/magnitude can't come after quantization/kmeans, which",
    ),
    "none in a list": (["compression=[none,magnitude]"], "none stands alone"),
    "a group added": (["+compression/pruning=magnitude"], "+compression/pruning=magnitude: no such group or key"),
    "a group removed": (["~compression"], "a group is chosen by compression=NAME"),
    "a group moved": (["recipe@x=adam"], "a group is chosen by recipe=NAME"),
    "a value that must be set": (["architecture=timm"], "architecture.name must be set: architecture.name=…"),
    "two sweeps": (["sweep=demo", "sweep=other"], "sweep=demo,other: one sweep at a time"),
    "unknown sweep": (["sweep=headline_lenet30_100"], "(did you mean headline_lenet300_100?)"),
    "no override": (["seed"], "'seed' is not an override; write key=value"),
    "unreadable": (["seed=[1"], "can't read 'seed=[1'"),
    "no value": (["recipe.lr="], "recipe.lr='' is str, expected float"),
    "an interval": (["recipe.lr=interval(0,1)"], "an interval has no points"),
    "an empty range": (["seed=range(3,3)"], "seed=range(3,3) has no value"),
    "too many points": (["seed=range(0,1000000)"], "a range of more than 100,000 values"),
    "runtime swept": (["runtime.workers=1,2"], "runtime decides no result and can't be swept"),
    "a rest below nothing": (
        ["runtime.idle_minutes=-1"],
        "runtime.idle_minutes=-1.0 is out of range, expected float of at least 0",
    ),
    "a GPU for the processor": (
        ["measurement.executors=[eager]", "measurement.gpu=H200"],
        "measurement.gpu=H200: measurement.device=cpu times the processor; add measurement.device=gpu",
    ),
    "a processor without a name": (["measurement.executors=[eager]", "measurement.cpu="], "measurement.cpu is empty"),
    "a checkpoint before the last": (
        ["runtime.checkpoint_minutes=-1"],
        "runtime.checkpoint_minutes=-1.0 is out of range, expected float or null of at least 0",
    ),
    "too small a batch for its devices": (
        ["runtime.devices=8", "recipe.batch_size=15"],
        "recipe.batch_size=15 leaves fewer than 2 images for each of runtime.devices=8, expected at least 16",
    ),
    "unknown launcher": (
        ["hydra/launcher=slrm"],
        "hydra/launcher=slrm: there is no launcher slrm (did you mean slurm?)",
    ),
    "a launcher that is not installed": (
        ["hydra/launcher=rq"],
        "hydra/launcher=rq: rq comes with hydra-rq-launcher, which is not installed",
    ),
    "a setting of the launcher": (["hydra.launcher.jobs=3"], "hydra.launcher.jobs"),
    "other hydra settings": (["hydra.run.dir=x"], "only hydra/launcher and hydra.launcher.… are read"),
    "channels that do not fit": (["architecture.in_chans=3"], "in_chans=3 does not fit dataset.channels=1 of mnist5k"),
    "no bits": (["compression=uniform", "compression.uniform.bits=0"], "uniform.bits=0 is out of range, expected int"),
    "too many bits": (
        ["compression=uniform", "compression.uniform.bits=33"],
        "uniform.bits=33 is out of range, expected",
    ),
    "one bit": (["compression=uniform", "compression.uniform.bits=1"], "from 2 to 8 (1 bit is quantization/bwn)"),
    "one bit for a site": (
        ["compression=uniform", "compression.uniform.per_site={fc1*:1}"],
        "from 2 to 8 (1 bit is quantization/bwn)",
    ),
    "no such grid": (
        ["compression=levels", "compression.levels.quant_max=4"],
        "quant_max=4: expected one of 1, 3, 7, 15",
    ),
    "a grid of no size": (
        ["compression=levels", "compression.levels.initial_scale_factor=0"],
        "initial_scale_factor=0.0 is out of range",
    ),
    "biases of one bit": (
        ["compression=levels", "compression.levels.bias_bits=1"],
        "bias_bits=1: expected one of 0, 2, 3",
    ),
    "quantised twice": (["compression=[kmeans,levels]"], "quantization/levels can't come after quantization/kmeans"),
    "detached from workers of this host": (
        ["--detach"],
        "--detach: workers of hydra/launcher=local end with the command; take a launcher whose jobs a scheduler keeps",
    ),
    "detached from a launcher of Hydra's": (
        ["--detach", "hydra/launcher=joblib"],
        "--detach: workers of hydra/launcher=joblib end with the command",
    ),
    "detached from workers that others start": (
        ["--detach", "hydra/launcher=external"],
        "--detach: workers of hydra/launcher=external have yet to come when the command ends",
    ),
    "detached from an unknown launcher": (["--detach", "hydra/launcher=slrm"], "hydra/launcher"),
    "unknown option of run": (["--jsn"], "unrecognized arguments: --jsn; see convarium run --help"),
}


def one_line(text: str) -> str:
    assert text.startswith("convarium: "), text
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_one_line(kind: str, here: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    arguments, said = MISTAKES[kind]
    code, out, error = call("run", *arguments)
    assert (code, out) == (2, "")
    assert said in one_line(error)
    assert list(here.iterdir()) == []


BROKEN = {
    "no YAML": ("optimizer: [sgd\n", "conf/recipe/mine.yaml line"),
    "a list": ("- sgd\n", "recipe is ['sgd'], expected keys and values"),
    "an unknown key": ("defaults: [sgd_cosine]\nepoch: 3\n", "recipe.epoch: no such key (did you mean epochs?)"),
    "a missing value": ("optimizer: ???\n", "recipe.optimizer must be set"),
    "a lost reference": ("defaults: [sgd_cosine]\nepochs: ${recipe.epoch}\n", "recipe.epoch"),
    "a lost default": ("defaults: [sgd_cosin]\n", "sgd_cosin"),
    "a wrong type": ("defaults: [sgd_cosine]\nepochs: many\n", "recipe.epochs='many' is str"),
    "a key twice": ("defaults: [sgd_cosine]\nepochs: 3\nepochs: 4\n", "mine.yaml line 3"),
    "nothing": ("", "recipe.optimizer is missing"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_mistake_in_a_file_of_the_user_is_one_line(
    kind: str, write: Callable[[str, str], Path], call: Callable[..., tuple[int, str, str]]
) -> None:
    text, said = BROKEN[kind]
    write("conf/recipe/mine.yaml", text)
    code, out, error = call("run", "recipe=mine")
    assert (code, out) == (2, "")
    assert said in one_line(error)


def test_an_unknown_command_is_told_the_nearest(call: Callable[..., tuple[int, str, str]]) -> None:
    assert call("rum") == (2, "", "convarium: rum: no such command (did you mean run?)\n")


def test_debug_shows_where(here: Path) -> None:
    with pytest.raises(ValueError, match="no such key"):
        main(["--debug", "run", "recipe.epoch=1"])
