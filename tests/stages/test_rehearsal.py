"""What would fail, or become another network, after its training is refused before it."""

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convarium.architectures import library
from convarium.cli import main
from convarium.errors import UserError
from convarium.names import allowing
from convarium.stages import rehearsal
from odd_networks import CONSTANTS, FINE, REFUSED, described

OPTION = """source: own
name: odd_networks:{}
in_chans: null
num_classes: null
img_size: null
stem: native
weights: null
kwargs: {{}}
"""


def rehearsed(architecture: dict[str, Any]) -> None:
    with allowing(["odd_networks"]):
        rehearsal.rehearse(architecture, library.trial(architecture))


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_network_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        rehearsed(described(name))
    assert f"architecture odd_networks:{name}" in str(caught.value)
    assert REFUSED[name][1] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*CONSTANTS, *FINE])
def test_a_network_that_comes_back_as_it_was_is_taken(name: str) -> None:
    rehearsed(described(name))


def test_what_draws_is_left_as_it_was() -> None:
    def state() -> list[Any]:
        return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # type: ignore[index, union-attr]

    with allowing(["odd_networks"]):
        for name in ("DROPS", "DRAWN_NUMPY", "DRAWN_FLOAT"):
            bare = library.trial(described(name))
            before = state()
            with suppress(UserError):
                rehearsal.rehearse(described(name), bare)
            assert state() == before


@pytest.mark.parametrize(
    ("source", "name", "built"),
    [("own", "resnet20", 0), ("timm", "resnet10t", 0), ("own", "lenet5_1998", 2), ("own", "odd_networks:PLAIN", 2)],
)
def test_only_what_may_change_is_built_for_real(
    source: str, name: str, built: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, build = list[Any](), library.build
    architecture = described("PLAIN") | {"source": source, "name": name, "img_size": 32}
    with allowing(["odd_networks"]):
        bare = library.trial(architecture)
        monkeypatch.setattr(library, "build", lambda *told: seen.append(told) or build(*told))
        rehearsal.rehearse(architecture, bare)
    assert len(seen) == built


def test_plan_says_it_and_the_other_points_go_on(
    write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DRAWN_BUFFER", "PLAIN"):
        write(f"conf/architecture/{name.lower()}.yaml", OPTION.format(name))
    command = ["plan", "architecture=drawn_buffer,plain", "dataset=digits", "runtime.store=store"]
    assert main(command) == 2
    out = capsys.readouterr().out
    assert "1 points, 0 stored, 1 to run" in out
    assert "architecture=drawn_buffer" in out.replace("\n", "")
    assert "persistent=True" in out.replace("\n", " ")
    assert main([*command, "--fast"]) == 0


def test_plan_says_that_an_answer_depends_on_the_batch(
    write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    write("conf/architecture/odd.yaml", OPTION.format("WITHOUT_STATISTICS"))
    assert main(["plan", "architecture=odd", "dataset=digits", "runtime.store=store", "--json"]) == 0
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note.endswith("without running statistics (norm) its answer for an image depends on the batch")
