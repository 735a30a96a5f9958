"""Words of other tools and of everyday speech get the pointer that a colleague would give, each in one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convarium.cli.commands import COMMANDS
from convarium.comparison.metric_names import METRICS
from convarium.compose.points import compose_points
from convarium.compose.search_config import compose_search_settings
from convarium.config import suggestions
from convarium.config.override import Override
from convarium.config.search_path import list_config_groups, list_group_options, list_search_folders
from convarium.errors import UserError
from convarium.store.store import Store

Call = Callable[..., tuple[int, str, str]]

OVERRIDES = {
    "dataset=CIFAR10": "dataset=CIFAR10: no such dataset (did you mean cifar10?)",
    "dataset=Fashion-MNIST": "(did you mean fashion_mnist?)",
    "compression=pruning": "no such compression: it is a section, choose one of pruning/filter_l1, pruning/",
    "compression=quantization": "choose one of quantization/bwn, quantization/kmeans,",
    "architecture=cross_layer": "cross_layer/darknet53, … (convarium options architecture/cross_layer)",
    "architecture=transformer": "(convarium options architecture/transformer)",
    "compression=prune": "; write compression=magnitude",
    "compression=int8": "; write compression=uniform",
    "compression=[magnitude,int8]": "; write compression=uniform",
    "compression=distillation": "; write compression=kd",
    "compression=deep_compression": "; write compression=[magnitude,kmeans,huffman]",
    "compression=ternary": "; write compression=levels compression.levels.quant_max=1",
    "recipe=sgd": "; write recipe=sgd_cosine",
    "architecture=resnet21": "(did you mean cross_layer/resnet20?)",
    "architecture=resnet": "; write architecture=resnet20",
    "architecture=ResNet-20": "(did you mean cross_layer/resnet20?)",
    "measurement=latency": "; write measurement.executors=[onnxruntime]",
    "tracking=wandb": "; write tracking=mlflow",
    "model=resnet20": "; write architecture=resnet20",
    "arch=resnet20": "; write architecture=resnet20",
    "data=mnist": "; write dataset=mnist",
    "lr=0.1": "; write recipe.lr=0.1",
    "lr=": "; write recipe.lr=…",
    "epochs=3": "; write recipe.epochs=3",
    "trainer=fast": "; write recipe=sgd_cosine, or recipe.epochs=…",
    "trainer.max_epochs=3": "; write recipe=sgd_cosine, or recipe.epochs=…",
    "optimizer=adam": "; write recipe.optimizer=adam",
    "batch_size=32": "; write recipe.batch_size=32",
    "wd=0.1": "; write recipe.weight_decay=0.1",
    "weight_decay=0.1": "; write recipe.weight_decay=0.1",
    "gpus=1": "; write runtime.accelerator=gpu",
    "device=cuda": "; write runtime.accelerator=gpu",
    "sparsity=0.9": "; write compression=magnitude compression.magnitude.sparsity=0.9",
    "seeds=0,1": "; write seed=0,1",
    "seed=1-3": "seed='1-3' is str, expected int of at least 0; write seed=range(1,4)",
    "budget.bytes=10k": "; write budget.bytes=10000",
    "budget.bytes=32KiB": "; write budget.bytes=32768",
    "budget.macs=50%": "; write budget.macs=0.5",
    "architecture.pretrained=true": "architecture.pretrained: no such key; add architecture=timm architecture.name=",
    "recipe.wd=0.1": "recipe.wd: no such key (did you mean weight_decay?)",
    "recipe.learning_rate=0.1": "(did you mean lr?)",
    "recipe.optimizer=rmsprop": "(did you mean torch.optim:RMSprop?)",
    "recipe.precision=fp16": "(did you mean bf16?)",
    "runtime.accelerator=cuda": "(did you mean gpu?)",
    "measurement.executors=onnxruntime": "; write measurement.executors=[onnxruntime]",
    "measurement.batch_sizes=16": "; write measurement.batch_sizes=[16]",
    "tracking.uri=http://host:5000": "tracking.uri: no such key; add tracking=mlflow",
    "tracking.experiment=mine": "tracking.experiment: no such key; add tracking=mlflow",
    "int8": "'int8' is not an override; write compression=uniform",
    "resnet20": "'resnet20' is not an override; write architecture=cross_layer/resnet20",
    "mnist": "'mnist' is not an override; write dataset=mnist",
    "demo": "'demo' is not an override; write sweep=demo",
    "pruning": "'pruning' is not an override; compression has such a section, choose one of pruning/filter_l1,",
    "--epochs=5": "unrecognized arguments: --epochs=5; write recipe.epochs=5; see convarium plan --help",
    "--batch-size=5": "; write recipe.batch_size=5; see",
}  # fmt: skip


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("typed", OVERRIDES)
def test_an_override_of_other_tools_is_told_what_it_is_here(typed: str, call: Call) -> None:
    code, out, error = call("plan", "--fast", typed)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert OVERRIDES[typed] in error


COMMAND_LINES = {
    ("train",): "train: no such command; write convarium run\n",
    ("why", "3fa2"): "; write convarium diff\n",
    ("serve-check", "net.onnx"): "; write convarium verify\n",
    ("list",): "; write convarium ls\n",
    ("rm", "3fa2"): "; write convarium gc\n",
    ("compare", "--best", "acc"): "--best acc: no metric 'acc' (did you mean accuracy?)\n",
    ("compare", "--best", "params"): "(did you mean parameters?)\n",
    ("compare", "--where", "size<5"): "'size<5': no metric 'size' (did you mean file_bytes?)\n",
    ("help", "rum"): "rum: no such command (did you mean run?)\n",
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("typed", COMMAND_LINES)
def test_a_command_of_other_tools_is_told_what_it_is_here(typed: tuple[str, ...], call: Call) -> None:
    code, out, error = call(*typed)
    assert (code, out) == (2, "")
    assert error.endswith(COMMAND_LINES[typed])


@pytest.mark.parametrize("typed", [("help", "run"), ("--help", "run"), ("run", "--help")])
def test_the_help_of_a_command_is_found_either_way(
    typed: tuple[str, ...], call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        call(*typed)
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("usage: convarium run")


@pytest.mark.parametrize("typed", [(), ("help",), ("--help",), ("-h",), ("help", "help")])
def test_the_help_of_all_is_found_every_way(typed: tuple[str, ...], call: Call) -> None:
    code, out, _ = call(*typed)
    assert code == 0
    assert "usage: convarium COMMAND" in out


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("group", suggestions.OPTIONS_MEANT)
def test_what_is_suggested_for_an_option_is_there(group: str) -> None:
    for word, meant in suggestions.OPTIONS_MEANT[group].items():
        known = list_group_options(group)
        assert word not in {name.rpartition("/")[2] for name in known}, word
        text = suggestions.suggest_option(group, word, known).removeprefix("; write ")
        request = compose_points(text.split())  # a coder has nothing to work on alone, a folder is not there
        assert not any("no such" in point.error for point in request.invalid), (word, meant)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("key", suggestions.KEYS_MEANT)
def test_what_is_suggested_for_a_key_is_there(key: str) -> None:
    assert key not in list_config_groups()
    line = suggestions.KEYS_MEANT[key].partition(",")[0].format("nothing")
    if "convarium" in line:
        assert line.partition("convarium ")[2].split()[0] in COMMANDS
        return
    is_of_search = line.startswith("search")
    reasons = find_search_reasons(line.split()) if is_of_search else find_reasons(line.split())
    assert not any(f"no such {noun}" in reason for reason in reasons for noun in ("key", "group"))


def find_search_reasons(overrides: list[str]) -> list[str]:
    try:
        compose_search_settings(list_search_folders("conf"), [Override(text) for text in overrides])
    except UserError as error:
        return [str(error)]
    return []


def find_reasons(overrides: list[str]) -> list[str]:
    try:
        return [point.error for point in compose_points(overrides).invalid]
    except UserError as error:
        return [str(error)]


def test_what_is_suggested_for_a_command_and_a_metric_is_there() -> None:
    for word, meant in suggestions.COMMANDS_MEANT.items():
        assert word not in COMMANDS
        assert meant.split()[0] in (*COMMANDS, "--version"), word
    assert set(suggestions.METRICS_MEANT.values()) <= {*METRICS}


def test_an_empty_store_is_named_with_the_first_command(here: Path, call: Call) -> None:
    Store(here / "s").prepare()
    line = "convarium: the store s holds no results yet; a first result: convarium run compression=none,magnitude\n"
    assert call("ls", "runtime.store=s") == (0, "", line)
    code, out, error = call("compare", "runtime.store=s")
    assert (code, error) == (0, line)
    assert "No row to show." in out


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("acuracy>1", "'acuracy>1': no result here has 'acuracy' (did you mean accuracy?)\n"),
        ("acc>0.9", "(did you mean accuracy?)\n"),
        ("recpe.lr=0.1", "no result here has 'recpe.lr'"),
    ],
)
def test_a_condition_on_nothing_is_refused_in_an_empty_store_too(
    condition: str, said: str, here: Path, call: Call
) -> None:
    Store(here / "s").prepare()
    code, out, error = call("ls", "--where", condition, "runtime.store=s")
    assert (code, out) == (2, "")
    assert said in error
    assert call("ls", "--where", "accuracy>0.5", "recipe.lr=0.1", "runtime.store=s")[0] == 0
