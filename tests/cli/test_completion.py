"""Completion knows sub-commands, groups, sub-folders, knobs, and the inside of a list."""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bash import Bash
from convarium.cli import main
from convarium.cli.commands import COMMANDS
from convarium.cli.completion import complete_line


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


def test_no_such_command_has_no_options() -> None:
    assert complete_line("convarium nothing --") == []


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bash]:
    if not shutil.which("bash"):
        pytest.skip("there is no bash")
    folder = tmp_path_factory.mktemp("typed")
    (folder / "net.cvm").touch()
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
