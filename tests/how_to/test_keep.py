"""docs/how-to/keep.md: its commands, one after the other, in a store of two seeds."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from command_lines import IN_PROCESS
from convarium.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "keep.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
HERE = (*IN_PROCESS, "dataset.train_size=200")


@pytest.fixture
def call(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Call a command that must succeed; returns what it printed."""

    def called(*arguments: str) -> str:
        code = main(arguments)
        out, error = capsys.readouterr()
        assert code == 0, error
        return out

    return called


def test_every_command_of_the_page(call: Callable[..., str]) -> None:
    ((block,),) = [BLOCK.findall(PAGE)]
    commands = [shlex.split(line)[1:] for line in block.splitlines()]
    asked = commands[0][1:]
    call("run", *asked, *HERE, "runtime.store=elsewhere", "seed=0,1,2")
    made = json.loads(call("run", "--json", *asked, *HERE))["runs"]
    named = {"SIG": made[-1]["signature"], "OTHER": made[-2]["signature"], "ELSEWHERE": "elsewhere"}
    told = {}
    for command in commands[1:]:
        words = [named.get(word, word) for word in command]
        told[" ".join(command)] = call(*words, *(HERE if words[0] in ("run", "status") else ()))
    assert len(told) == len(commands) - 1
    assert len(told["ls --stage measure --where accuracy>0.5 --where dataset.name=digits"].splitlines()) == 5
    assert "# 20" in told["show SIG --log"]
    assert "seed" in told["diff SIG OTHER"]
    assert "4 of 4 points done" in told[next(text for text in told if text.startswith("status"))]
    assert "came into outputs/store; 8 were there" in told["store merge ELSEWHERE"]
    assert told["store merge ELSEWHERE"].startswith("4 results")
