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

from convarium import edits
from convarium.compose.points import compose_points
from convarium.compression import decisions
from convarium.compression.deciders.interface import Decision
from convarium.conformance.architecture import build_file_header, build_seeded_network, image_shape_of
from convarium.conformance.cases import parametrize_cases
from convarium.conformance.tensor_comparison import compute_logits, has_same_bits, has_same_state
from convarium.cvm import container
from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages

SMALL_NETWORK = ("architecture=lenet5", "dataset=digits", "dataset.img_size=16")
LOGIT_TOLERANCE = 1e-4
WRONG_VALUES_BY_TYPE: Mapping[type, tuple[Any, ...]] = {
    int: (-1, 10**30, 1.5, True, None, "3", [], {}),
    float: ("3", True, None, [], {}),
    str: (3, None, [], {}),
    bool: (3, None, "x", [], {}),
    dict: (None, 3, "x", [1]),
    list: (None, 3, "x", {"a": 1}),
}
JsonPath = tuple[Any, ...]


@dataclass(frozen=True)
class EditCase:
    """A decision with edits, on a network.

    Attributes:
        decide: returns it for the network; `values` and `representations` as a decider would.
        exact: the network's answers stay as they were (to 1e-4).
        network: overrides that name architecture and dataset.
    """

    decide: Callable[[nn.Module], Decision]
    exact: bool = False
    network: tuple[str, ...] = SMALL_NETWORK


class EditSuite:
    """Inherit it and give `cases`, by a name for people."""

    cases: ClassVar[Mapping[str, EditCase]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, case=self.cases)

    @pytest.fixture
    def edited(self, case: EditCase) -> Iterator["EditedNetwork"]:
        """Yield the case carried out, its packages allowed."""
        torch.set_num_threads(1)
        described = compose_points(case.network).check_points()[0].config["architecture"]
        network = build_seeded_network(described)
        before = compute_logits(network, image_shape_of(described))
        surgery = [dict(edit) for edit in case.decide(copy.deepcopy(network)).edits]
        with allow_packages(find_named_packages([described, surgery])):
            decision = decisions.apply_decision(network, case.decide(network))
            yield EditedNetwork(described, network, [dict(edit) for edit in decision.edits], before)

    def test_an_edit_is_json_that_its_own_check_takes(self, edited: "EditedNetwork") -> None:
        assert edited.surgery
        assert json.loads(json.dumps(edited.surgery, allow_nan=False)) == edited.surgery
        edits.check_surgery(edited.surgery)

    def test_strange_records_are_refused(self, edited: "EditedNetwork") -> None:
        for edit in edited.surgery:
            for wrong in generate_bad_edits(edit):
                with pytest.raises(UserError):
                    edits.check_surgery([wrong])

    def test_a_network_that_it_does_not_fit_is_refused(self, edited: "EditedNetwork") -> None:
        with pytest.raises(UserError):
            edits.apply_surgery(nn.Sequential(), edited.surgery)

    def test_replayed_on_a_fresh_network_it_gives_the_same_bits(self, edited: "EditedNetwork") -> None:
        answer = compute_logits(edited.network, image_shape_of(edited.architecture))
        for device in ("meta", None):
            fresh = build_seeded_network(edited.architecture, device, seed=1)
            edits.apply_surgery(fresh, json.loads(json.dumps(edited.surgery)))
            fresh.load_state_dict(edited.network.state_dict(), assign=True)
            assert has_same_state(fresh, edited.network)
            assert has_same_bits(compute_logits(fresh, image_shape_of(edited.architecture)), answer)

    def test_an_exact_edit_changes_no_answer(self, case: EditCase, edited: "EditedNetwork") -> None:
        after = compute_logits(edited.network, image_shape_of(edited.architecture))
        assert after.shape == edited.logits_before.shape
        assert not case.exact or (after - edited.logits_before).abs().max() < LOGIT_TOLERANCE

    def test_it_comes_back_from_a_file_bit_for_bit(self, edited: "EditedNetwork", tmp_path: Path) -> None:
        given = {**build_file_header(edited.architecture), "surgery": edited.surgery}
        container.write_cvm(tmp_path / "net.cvm", edited.network, given, {})
        again = container.load_cvm(tmp_path / "net.cvm")
        assert has_same_bits(
            compute_logits(again, image_shape_of(edited.architecture)),
            compute_logits(edited.network, image_shape_of(edited.architecture)),
        )

    def test_an_edited_network_still_learns(self, edited: "EditedNetwork") -> None:
        edited.network(torch.randn(4, *image_shape_of(edited.architecture))).sum().backward()
        assert all(parameter.grad is not None for parameter in edited.network.parameters())


@dataclass(frozen=True)
class EditedNetwork:
    """A case that was carried out: on what, the network as it is now, the edits, and its answers before."""

    architecture: dict[str, Any]
    network: nn.Module
    surgery: list[dict[str, Any]]
    logits_before: torch.Tensor


def generate_bad_edits(edit: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield records that a stranger's file might hold: a key more, a value of another type or out of all bounds."""
    yield {**edit, "more": 1}
    for key in edit:
        if key != "op":
            for path, value in _iterate_values(edit[key], (key,)):
                yield from (_replace_value(edit, path, wrong) for wrong in WRONG_VALUES_BY_TYPE[type(value)])


def _iterate_values(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Any]]:
    yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _iterate_values(one, (*path, key))


def _replace_value(edit: Mapping[str, Any], path: JsonPath, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(edit))
    place: Any = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed
