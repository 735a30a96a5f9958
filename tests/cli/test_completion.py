"""Completion knows sub-commands, groups, sub-folders, knobs, and the inside of a list."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.bash import Bash
from cli.zsh import Zsh
from convarium.cli import main
from convarium.cli.commands import COMMANDS
from convarium.cli.completion import complete_line
from convarium.config.recipe import OPTIMIZERS


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("convarium co", ["compare "]),
        ("convarium run comp", ["compression="]),
        ("convarium run compression=pruning/m", ["compression=pruning/magnitude "]),
        (
            "convarium run compression=[pruning/magnitude,quantization/k",
            ["compression=[pruning/magnitude,quantization/kmeans"],
        ),
        ("convarium run compression=[mag", ["compression=[pruning/magnitude"]),
        ("convarium run compression=[magnitude,kmeans] compression.magnitude.sp", ["compression.magnitude.sparsity="]),
        ("convarium run recipe.ep", ["recipe.epochs="]),
        ("convarium plan --f", ["--fast "]),
        ("convarium run sweep=headline_lenet5", ["sweep=headline_lenet5 "]),
        (
            "convarium run recipe.optimizer=",
            [f"recipe.optimizer={name} " for name in OPTIMIZERS],
        ),
        ("convarium run recipe.precision=b", ["recipe.precision=bf16 "]),
        ("convarium run compression.magnitude.scope=g", ["compression.magnitude.scope=global "]),
        (
            "convarium run measurement.executors=[eager,onnx",
            ["measurement.executors=[eager,onnxruntime", "measurement.executors=[eager,onnxruntime_int8"],
        ),
        ("convarium run architecture.pretrained=t", ["architecture.pretrained=true "]),
        ("convarium run recipe.lr=", []),
        ("convarium export 3fa2 --format onnx_", ["onnx_int8 "]),
        ("convarium export 3fa2 --format=onnx_", ["--format=onnx_int8 "]),
        ("convarium export 3fa2 -o ", []),
        ("convarium compare --best file", ["file_bytes "]),
        ("convarium compare --html ", []),
        ("convarium ls --stage m", ["measure "]),
        ("convarium run --retry ", ["failed ", "void "]),
        ("convarium catalogue --check deep", ["deep_compression "]),
        ("convarium options comp", ["compression"]),
        ("convarium options compression/pruning/mag", ["compression/pruning/magnitude "]),
        ("convarium help sh", ["show "]),
        ("convarium measure ", []),
        ("convarium show 3fa2 runtime.st", ["runtime.store="]),
        ("convarium show 3fa2 rec", []),
        ("convarium export 3fa2 dataset.ro", ["dataset.root="]),
        ("convarium search search/", [f"search/{name}=" for name in ("evaluator", "pruner", "space", "strategy")]),
        ("convarium search search/strategy=t", ["search/strategy=tpe "]),
        ("convarium search search.tr", ["search.trials="]),
        ("convarium search search.strategy.g", ["search.strategy.group="]),
        (
            "convarium search search/strategy=nsga2 search.strategy.",
            [f"search.strategy.{name}=" for name in ("crossover", "mutation", "population_size")],
        ),
        ("convarium search search.objectives=[accuracy,file", ["search.objectives=[accuracy,file_bytes"]),
        ("convarium search search.constraints.f", ["search.constraints.file_bytes="]),
        ("convarium search recipe.ep", ["recipe.epochs="]),
        ("convarium run search", []),
        ("convarium options search/st", ["search/strategy"]),
        ("convarium options search/strategy/n", ["search/strategy/nsga2 "]),
    ],
)
def test_the_last_word_is_completed(line: str, found: list[str]) -> None:
    assert complete_line(line) == found


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_a_command_are_those_of_its_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    told = capsys.readouterr().out.split("options:")[1].partition("groups:")[0]
    options = re.findall(r"^  (?:-\w(?: [A-Z]+)?, )?(--[a-z-]+)", told, re.MULTILINE)
    assert "--debug" in options
    assert complete_line(f"convarium {command} --") == sorted(f"{name} " for name in options)


def test_what_a_method_s_file_says_to_hydra_is_not_a_knob() -> None:
    assert complete_line("convarium run compression=magnitude compression.magnitude.d") == []


@pytest.mark.parametrize("command", ["show", "diff", "export"])
def test_signatures_of_the_store_are_offered_where_one_is_due(command: str, here: Path) -> None:
    for name in ("outputs/store/train/n-0123456789ab", "outputs/store/train/n-0a23456789ab", "s/adopt/x-ffffffffffff"):
        (here / name).mkdir(parents=True)
    assert complete_line(f"convarium {command} ") == ["0123456789ab ", "0a23456789ab "]
    assert complete_line(f"convarium {command} 01") == ["0123456789ab "]
    assert complete_line(f"convarium {command} runtime.store=s ") == ["ffffffffffff "]
    line = "convarium run runtime.store=s architecture.weights="
    assert complete_line(line) == ["architecture.weights=ffffffffffff "]


def test_completion_loads_nothing_heavy() -> None:
    lines = ("convarium run recipe.optimizer=", "convarium compare --best a", "convarium ls --stage m", "convarium ")
    program = f"""
import sys
from convarium.cli.completion import complete_line
for line in {lines}:
    complete_line(line)
print(sorted({{'torch', 'numpy', 'pandas', 'mlflow', 'hydra', 'omegaconf', 'yaml'}} & {{*sys.modules}}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def test_no_such_shell_is_one_line(call: Callable[..., tuple[int, str, str]]) -> None:
    line = "convarium: --completion fish: write --completion bash or --completion zsh\n"
    assert call("--completion", "fish") == (2, "", line)


def test_no_such_command_has_no_options() -> None:
    assert complete_line("convarium nothing --") == []


def _lay_out(folder: Path) -> None:
    (folder / "net.cvm").touch()
    (folder / "outputs/store/train/net-0123456789ab").mkdir(parents=True)


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bash]:
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    folder = tmp_path_factory.mktemp("typed")
    _lay_out(folder)
    started = Bash(folder, Path(sys.executable).parent)
    yield started
    started.close()


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("convarium ru", "run X"),
        ("convarium store m", "merge X"),
        ("convarium run comp", "compression=X"),
        ("convarium run compression=pruning/mag", "compression=pruning/magnitude X"),
        ("convarium run compression=mag", "compression=pruning/magnitude X"),
        ("convarium run compression=none,kme", "compression=none,quantization/kmeans X"),
        ("convarium run compression=[mag", "compression=[pruning/magnitudeX"),
        ("convarium run compression=[magnitude,kme", "compression=[magnitude,quantization/kmeansX"),
        ("convarium run 'compression=[mag", "compression=[pruning/magnitudeX"),
        ("convarium run recipe=sgd", "recipe=sgd_cosine X"),
        ("convarium run budget=", "budget=none X"),
        ("convarium run recipe.ep", "recipe.epochs=X"),
        ("convarium run compression=[magnitude,kmeans] compression.magnitude.sp", "compression.magnitude.sparsity=X"),
        ("convarium run tracking.uri=http://host:5000 compression=kme", "compression=quantization/kmeans X"),
        ("convarium run dataset.root=ü compression=kme", "compression=quantization/kmeans X"),
        ("convarium run sweep=headline_lenet5", "sweep=headline_lenet5 X"),
        ("convarium plan --fa", "--fast X"),
        ("convarium gc --unr", "--unreferenced X"),
        ("convarium run --mu", "--multirun X"),
        ("convarium --ver", "--version X"),
        ("convarium measure ne", "net.cvmX"),
        ("convarium run dataset.root=ne", "dataset.root=net.cvmX"),
        ("convarium nothing", "nothingX"),
        ("convarium show 01", "0123456789ab X"),
        ("convarium run recipe.optimizer=sg", "recipe.optimizer=sgd X"),
        ("convarium export 0123456789ab --format onnx_", "onnx_int8 X"),
        ("convarium compare --best file", "file_bytes X"),
        ("convarium compare --html ne", "net.cvmX"),
    ],
)
def test_bash_completes_what_is_unique(bash: Bash, typed: str, word: str) -> None:
    words = bash.complete(typed)
    assert " ".join(words[len(typed.split()) - 1 :]) == word


def test_bash_completes_as_far_as_it_is_unique_and_shows_every_choice(bash: Bash) -> None:
    assert (
        bash.complete("convarium run quantization=none, compression=quantization/")[-1] == "compression=quantization/X"
    )
    assert bash.complete("convarium s")[-1] == "sX"


@pytest.fixture(scope="module")
def zsh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zsh]:
    if not shutil.which("zsh"):
        pytest.skip("there is no zsh: apt-get install zsh")
    folder = tmp_path_factory.mktemp("typed")
    _lay_out(folder)
    started = Zsh(folder, Path(sys.executable).parent)
    yield started
    started.close()


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ("convarium ru", "run X"),
        ("convarium run comp", "compression=X"),
        ("convarium run compression=pruning/mag", "compression=pruning/magnitude X"),
        ("convarium run compression=mag", "compression=pruning/magnitude X"),
        ("convarium run 'compression=[mag", "compression=[pruning/magnitudeX"),
        ("convarium run compression=none,kme", "compression=none,quantization/kmeans X"),
        ("convarium run recipe.optimizer=sg", "recipe.optimizer=sgd X"),
        ("convarium run compression=[magnitude,kmeans] compression.magnitude.sp", "compression.magnitude.sparsity=X"),
        ("convarium show 01", "0123456789ab X"),
        ("convarium export 0123456789ab --format onnx_", "onnx_int8 X"),
        ("convarium compare --best file", "file_bytes X"),
        ("convarium plan --fa", "--fast X"),
        ("convarium measure ne", "net.cvm X"),
        ("convarium run dataset.root=ne", "dataset.root=net.cvm X"),
    ],
)
def test_zsh_completes_what_is_unique(zsh: Zsh, typed: str, word: str) -> None:
    words = zsh.complete(typed)
    assert " ".join(words[len(typed.split()) - 1 :]) == word
