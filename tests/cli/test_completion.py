"""Completion knows sub-commands, groups, sub-folders, knobs, and the inside of a list."""

import shutil
import subprocess

import pytest

from convarium.cli.completion import OPTIONS, SCRIPT, complete


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
    assert complete(line) == found


def test_the_options_are_those_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    from convarium.cli import COMMANDS, main

    assert list(OPTIONS) == list(COMMANDS)
    for name, options in OPTIONS.items():
        with pytest.raises(SystemExit):
            main([name, "--help"])
        out = capsys.readouterr().out
        assert [option for option in options if option not in out] == []


def test_bash_understands_the_script() -> None:
    if bash := shutil.which("bash"):
        subprocess.run([bash, "-n"], input=SCRIPT, text=True, check=True)
