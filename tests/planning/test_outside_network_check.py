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

from convarium.architectures import factory
from convarium.architectures.dry_run import dry_run_architecture
from convarium.cli import main
from convarium.errors import UserError
from convarium.lookup import allow_packages
from convarium.planning import outside_network_check
from odd_networks import CONSTANTS, FINE, REFUSED, describe_odd_network

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
    with allow_packages(["odd_networks"]):
        outside_network_check.dry_run_network(architecture, dry_run_architecture(architecture))


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_network_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        rehearsed(describe_odd_network(name))
    assert f"architecture odd_networks:{name}" in str(caught.value)
    assert REFUSED[name][1] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*CONSTANTS, *FINE])
def test_a_network_that_comes_back_as_it_was_is_taken(name: str) -> None:
    rehearsed(describe_odd_network(name))


def test_what_draws_is_left_as_it_was() -> None:
    def state() -> list[Any]:
        return [torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # type: ignore[index, union-attr]

    with allow_packages(["odd_networks"]):
        for name in ("DROPS", "DRAWN_NUMPY", "DRAWN_FLOAT"):
            bare = dry_run_architecture(describe_odd_network(name))
            before = state()
            with suppress(UserError):
                outside_network_check.dry_run_network(describe_odd_network(name), bare)
            assert state() == before


@pytest.mark.parametrize(
    ("source", "name", "built"),
    [("own", "resnet20", 0), ("timm", "resnet10t", 0), ("own", "lenet5_1998", 2), ("own", "odd_networks:PLAIN", 2)],
)
def test_only_what_may_change_is_built_for_real(
    source: str, name: str, built: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, build = list[Any](), factory.build_architecture
    architecture = describe_odd_network("PLAIN") | {"source": source, "name": name, "img_size": 32}
    with allow_packages(["odd_networks"]):
        bare = dry_run_architecture(architecture)
        monkeypatch.setattr(factory, "build_architecture", lambda *told: seen.append(told) or build(*told))
        outside_network_check.dry_run_network(architecture, bare)
    assert len(seen) == built


def test_plan_says_it_and_the_other_points_go_on(
    write: Callable[[str, str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DRAWN_BUFFER", "PLAIN"):
        write(f"conf/architecture/{name.lower()}.yaml", OPTION.format(name))
    command = ["plan", "architecture=drawn_buffer,plain", "dataset=digits", "runtime.store=store"]
    assert main(command) == 2
    out = capsys.readouterr().out
    assert "1 point, 0 stored, 1 to run" in out
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
