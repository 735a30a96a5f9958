"""docs/how-to/images.md, command by command, on a folder of real photographs."""

import json
import shlex
from pathlib import Path

import pytest

from command_lines import IN_PROCESS
from convarium.cli import main
from convarium.cvm import container
from real_images import write_photo_folder

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "images.md"
SMALL = (
    "recipe.epochs=2", "recipe.batch_size=8", "recipe.warmup_epochs=0", "compression.magnitude.rounds=1",
    "compression.magnitude.epochs=1", "compression.kmeans.epochs=0",
)  # fmt: skip


def commands() -> list[list[str]]:
    block = PAGE.read_text(encoding="utf-8").partition("```sh\n")[2].partition("```")[0]
    return [shlex.split(line)[1:] for line in block.splitlines()]


@pytest.mark.usefixtures("here")
def test_every_command_of_the_page_works(capsys: pytest.CaptureFixture[str]) -> None:
    write_photo_folder(Path("my_images"), 12)
    signature = ""
    for command, *arguments in commands():
        given = [signature if text == "SIGNATURE" else text for text in arguments]
        if command in ("run", "compare"):
            given += [text for text in SMALL if text.startswith("recipe") or any("magnitude" in one for one in given)]
        if command == "run":
            given += [*IN_PROCESS, "--json"]
        assert main([command, *given]) == 0, capsys.readouterr().err
        out = capsys.readouterr().out
        if command == "run":
            runs = json.loads(out)["runs"]
            assert {one["status"] for one in runs} == {"done"}
            signature = runs[-1]["signature"]
        assert command != "show" or ("china: " in out and "accuracy_by_class" in out)
        assert command != "compare" or "magnitude 0.9" in out
        assert command != "measure" or "balanced_accuracy" in out
    assert container.read_cvm(Path("images.cvm")).header["classes"] == ["china", "flower"]
    assert Path("outputs/store.cache").is_dir()


def test_the_page_tells_the_commands_that_matter() -> None:
    assert [command for command, *_ in commands()] == ["plan", "run", "run", "compare", "show", "export", "measure"]
