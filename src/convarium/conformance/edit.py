"""What every edit must do."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from convarium.cli.points import ask
from convarium.compression import change, edits
from convarium.compression.deciders.view import Decision
from convarium.compression.file import container
from convarium.conformance.architecture import build, header, shape
from convarium.conformance.cases import each
from convarium.conformance.values import logits, same_bits, same_state
from convarium.errors import UserError
from convarium.names import allowing, packages

SMALL = ("architecture=lenet5", "dataset=digits", "dataset.img_size=16")
CLOSE = 1e-4
WRONG: Mapping[type, tuple[Any, ...]] = {
    int: (-1, 10**30, 1.5, True, None, "3", [], {}),
    float: ("3", True, None, [], {}),
    str: (3, None, [], {}),
    bool: (3, None, "x", [], {}),
    dict: (None, 3, "x", [1]),
    list: (None, 3, "x", {"a": 1}),
}
Place = tuple[Any, ...]


@dataclass(frozen=True)
class Case:
    """A decision with edits, on a network.

    Attributes:
        decide: returns it for the network; `values` and `representations` as a decider would.
        exact: the network's answers stay as they were (to 1e-4).
        network: overrides that name architecture and dataset.
    """

    decide: Callable[[nn.Module], Decision]
    exact: bool = False
    network: tuple[str, ...] = SMALL


class EditSuite:
    """Inherit it and give `cases`, by a name for people."""

    cases: ClassVar[Mapping[str, Case]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        each(metafunc, case=self.cases)

    @pytest.fixture
    def edited(self, case: Case) -> Iterator["Edited"]:
        """Yield the case carried out, its packages allowed."""
        torch.set_num_threads(1)
        described = ask(case.network).accepted()[0].config["architecture"]
        network = build(described)
        before = logits(network, shape(described))
        surgery = [dict(edit) for edit in case.decide(copy.deepcopy(network)).edits]
        with allowing(packages([described, surgery])):
            decision = change.carry_out(network, case.decide(network))
            yield Edited(described, network, [dict(edit) for edit in decision.edits], before)

    def test_an_edit_is_json_that_its_own_check_takes(self, edited: "Edited") -> None:
        assert edited.surgery
        assert json.loads(json.dumps(edited.surgery, allow_nan=False)) == edited.surgery
        edits.check(edited.surgery)

    def test_strange_records_are_refused(self, edited: "Edited") -> None:
        for edit in edited.surgery:
            for wrong in strange(edit):
                with pytest.raises(UserError):
                    edits.check([wrong])

    def test_a_network_that_it_does_not_fit_is_refused(self, edited: "Edited") -> None:
        with pytest.raises(UserError):
            edits.apply(nn.Sequential(), edited.surgery)

    def test_replayed_on_a_fresh_network_it_gives_the_same_bits(self, edited: "Edited") -> None:
        answer = logits(edited.network, shape(edited.described))
        for device in ("meta", None):
            fresh = build(edited.described, device, seed=1)
            edits.apply(fresh, json.loads(json.dumps(edited.surgery)))
            fresh.load_state_dict(edited.network.state_dict(), assign=True)
            assert same_state(fresh, edited.network)
            assert same_bits(logits(fresh, shape(edited.described)), answer)

    def test_an_exact_edit_changes_no_answer(self, case: Case, edited: "Edited") -> None:
        after = logits(edited.network, shape(edited.described))
        assert after.shape == edited.before.shape
        assert not case.exact or (after - edited.before).abs().max() < CLOSE

    def test_it_comes_back_from_a_file_bit_for_bit(self, edited: "Edited", tmp_path: Path) -> None:
        given = {**header(edited.described), "surgery": edited.surgery}
        container.write(tmp_path / "net.cvm", edited.network, given, {})
        again = container.load(tmp_path / "net.cvm")
        assert same_bits(logits(again, shape(edited.described)), logits(edited.network, shape(edited.described)))

    def test_an_edited_network_still_learns(self, edited: "Edited") -> None:
        edited.network(torch.randn(4, *shape(edited.described))).sum().backward()
        assert all(parameter.grad is not None for parameter in edited.network.parameters())


@dataclass(frozen=True)
class Edited:
    """A case that was carried out: on what, the network as it is now, the edits, and its answers before."""

    described: dict[str, Any]
    network: nn.Module
    surgery: list[dict[str, Any]]
    before: torch.Tensor


def strange(edit: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield records that a stranger's file might hold: a key more, a value of another type or out of all bounds."""
    yield {**edit, "more": 1}
    for key in edit:
        if key != "op":
            for path, value in _values(edit[key], (key,)):
                yield from (_replaced(edit, path, wrong) for wrong in WRONG[type(value)])


def _values(value: Any, path: Place) -> Iterator[tuple[Place, Any]]:
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _values(one, (*path, key))


def _replaced(edit: Mapping[str, Any], path: Place, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(edit))
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed
