"""The commands of the quick start and of the how-tos: each page's `sh` blocks, in order, in a folder of their own.

What a page shows as a file (its name in backquotes, a colon, a block) is written there first; `py` blocks are executed.
SIGNATURE is the last network that was made by a command which does not itself name one.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from command_lines import IN_PROCESS
from convarium.architectures import factory
from convarium.cli import main
from real_images import write_photo_folder

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = sorted((DOCS / "how-to").glob("*.md"))
BY_THEMSELVES = {path.stem.removeprefix("test_") for path in (DOCS.parent / "tests/how_to").glob("test_*.py")}
PAGES = [DOCS / "quick-start.md", *(path for path in GUIDES if path.stem not in BY_THEMSELVES)]
BLOCK = re.compile(r"(?:^`([\w./-]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKES = ("run", "adopt")
HERE = (*IN_PROCESS, "--json")
SMALL = {
    "inspect": ("recipe.epochs=1", "compression.kmeans.epochs=0"),
    "adopt": ("dataset.img_size=32", "compression.magnitude.epochs=0", "compression.kmeans.epochs=0", "seed=0"),
}


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Each block of a page: the file that it is, its language, its text."""
    yield from BLOCK.findall(page.read_text(encoding="utf-8"))


def commands(text: str) -> list[list[str]]:
    return [words for line in text.replace("\\\n", " ").splitlines() if (words := shlex.split(line, comments=True))]


def prepare(page: str) -> None:
    """Lay out what a page says its reader has."""
    if page == "inspect":
        write_photo_folder(Path("my_images"), 3)
    if page == "adopt":
        write_photo_folder(Path("my_images"), 12)
        config = {"source": "timm", "name": "mobilenetv3_small_050", "in_chans": 3, "num_classes": 2, "img_size": 32}
        torch.manual_seed(0)
        save_file(
            factory.build_architecture({**config, "stem": "native", "kwargs": {}}).state_dict(), "weights.safetensors"
        )


def called(words: list[str], page: str, signature: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run one command; return the signature of what it made, else the one before."""
    program, command, *arguments = [word.replace("SIGNATURE", signature) for word in words]
    assert program == "convarium"
    small = [text for text in SMALL.get(page, ()) if _concerns(text, command, arguments)]
    assert main([command, *arguments, *small, *(HERE if command in MAKES else ())]) == 0, capsys.readouterr().err
    out = capsys.readouterr().out
    if command not in MAKES or "SIGNATURE" in " ".join(words):
        return signature
    runs = json.loads(out)["runs"]
    assert {run["status"] for run in runs} == {"done"}
    return str(runs[-1]["signature"])


def _concerns(override: str, command: str, arguments: list[str]) -> bool:
    key = override.split("=")[0]
    method = key.split(".")[1] if key.startswith("compression.") else ""
    return command in (*MAKES, "compare") and any(method in text for text in arguments)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_page_works(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(page.stem)
    signature, ran = "", 0
    for name, language, text in blocks(page):
        if name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text, encoding="utf-8")
        elif language == "py":
            exec(compile(text, str(page), "exec"), {})
        elif language == "sh":
            for words in commands(text):
                signature, ran = called(words, page.stem, signature, capsys), ran + 1
    assert ran


def test_no_block_is_left_without_a_word_what_it_is() -> None:
    known = {"sh", "py", "text", "python", "yaml", "toml", "json"}
    for page in (DOCS / "index.md", *PAGES, *GUIDES):
        marks = re.findall(r"^\s*```(\w*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(marks) % 2 == 0, page
        assert set(marks[::2]) <= known, page
        assert set(marks[1::2]) <= {""}, page
