"""docs/how-to/export.md, command by command."""

import json
import shlex
from pathlib import Path

import pytest
import torch

import convarium
from command_lines import IN_PROCESS
from convarium.cli import main
from convarium.portable.file_format import detect_format

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "export.md"
SMALL = (
    "dataset.train_size=200", "recipe.epochs=2", "compression.magnitude.epochs=1", "compression.magnitude.rounds=1",
    "compression.kmeans.epochs=0", *IN_PROCESS, "--json",
)  # fmt: skip
MADE = {"net.cvm": "cvm", "net.onnx": "onnx", "net.int8.onnx": "onnx", "net.safetensors": "safetensors"}


def block(language: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"```{language}\n")[2].partition("```")[0]


@pytest.mark.usefixtures("here")
def test_every_command_of_the_page_works(capsys: pytest.CaptureFixture[str]) -> None:
    signature = ""
    for line in block("sh").splitlines():
        command, *arguments = shlex.split(line)[1:]
        given = [signature if text == "SIGNATURE" else text for text in arguments]
        assert main([command, *given, *(SMALL if command == "run" else ())]) == 0, capsys.readouterr().err
        out = capsys.readouterr().out
        if command == "run":
            signature = json.loads(out)["runs"][0]["signature"]
    assert {name: detect_format(Path(name)) for name in MADE} == MADE
    found: dict[str, object] = {}
    exec(block("python"), found)
    network = found["network"]
    assert isinstance(network, torch.nn.Module)
    same = convarium.load("net.safetensors")
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(network(images), same(images))
