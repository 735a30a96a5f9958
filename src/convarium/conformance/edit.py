"""What every edit must do."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from convarium import edits
from convarium.compose.points import compose_points
from convarium.compression import decisions
from convarium.compression.deciders.interface import Decision
from convarium.conformance.architecture import build_file_header, build_seeded_network, get_image_shape
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
    NoneType: (),  # of which type it may be as well, a record does not show
}
JsonPath = tuple[Any, ...]


@dataclass(frozen=True)
class EditCase:
    """A decision with edits, and the network that it is for.

    Attributes:
        decide: returns the decision for a network, as a decider would.
        exact: whether the network's logits stay as they were (to 1e-4).
        network: overrides that choose architecture and dataset.
    """

    decide: Callable[[nn.Module], Decision]
    exact: bool = False
    network: tuple[str, ...] = SMALL_NETWORK


class EditSuite:
    """Inherit it and give `cases`: each by a name for test ids."""

    cases: ClassVar[Mapping[str, EditCase]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, case=self.cases)

    @pytest.fixture
    def edited(self, case: EditCase) -> Iterator["EditedNetwork"]:
        """The case's network with the decision applied; the packages that config and edits name are allowed."""
        torch.set_num_threads(1)
        (point,) = compose_points(case.network).check_points()
        architecture_config = point.config["architecture"]
        network = build_seeded_network(architecture_config)
        logits_before = compute_logits(network, get_image_shape(architecture_config))
        # Decided on a copy first: which packages the edits name must be known before they are applied.
        planned_edits = [dict(edit) for edit in case.decide(copy.deepcopy(network)).edits]
        with allow_packages(find_named_packages([architecture_config, planned_edits])):
            decision = decisions.apply_decision(network, case.decide(network))
            surgery = [dict(edit) for edit in decision.edits]
            yield EditedNetwork(architecture_config, network, surgery, logits_before)

    def test_an_edit_is_json_that_its_own_check_takes(self, edited: "EditedNetwork") -> None:
        assert edited.surgery
        assert json.loads(json.dumps(edited.surgery, allow_nan=False)) == edited.surgery
        edits.check_surgery(edited.surgery)

    def test_strange_records_are_refused(self, edited: "EditedNetwork") -> None:
        for edit in edited.surgery:
            for bad_edit in generate_bad_edits(edit):
                with pytest.raises(UserError):
                    edits.check_surgery([bad_edit])

    def test_a_network_that_it_does_not_fit_is_refused(self, edited: "EditedNetwork") -> None:
        with pytest.raises(UserError):
            edits.apply_surgery(nn.Sequential(), edited.surgery)

    def test_replayed_on_a_fresh_network_it_gives_the_same_bits(self, edited: "EditedNetwork") -> None:
        for device in ("meta", None):
            replayed = build_seeded_network(edited.architecture_config, device, seed=1)
            edits.apply_surgery(replayed, json.loads(json.dumps(edited.surgery)))
            replayed.load_state_dict(edited.network.state_dict(), assign=True)
            assert has_same_state(replayed, edited.network)
            assert has_same_bits(compute_logits(replayed, edited.image_shape), edited.compute_logits())

    def test_an_exact_edit_changes_no_answer(self, case: EditCase, edited: "EditedNetwork") -> None:
        logits = edited.compute_logits()
        assert logits.shape == edited.logits_before.shape
        assert not case.exact or (logits - edited.logits_before).abs().max() < LOGIT_TOLERANCE

    def test_it_comes_back_from_a_file_bit_for_bit(self, edited: "EditedNetwork", tmp_path: Path) -> None:
        header = {**build_file_header(edited.architecture_config), "surgery": edited.surgery}
        container.write_cvm(tmp_path / "net.cvm", edited.network, header, {})
        decoded = container.load_cvm(tmp_path / "net.cvm")
        assert has_same_bits(compute_logits(decoded, edited.image_shape), edited.compute_logits())

    def test_an_edited_network_still_learns(self, edited: "EditedNetwork") -> None:
        edited.network(torch.randn(4, *edited.image_shape)).sum().backward()
        assert all(parameter.grad is not None for parameter in edited.network.parameters())


@dataclass(frozen=True)
class EditedNetwork:
    """A network with a case's decision applied.

    Attributes:
        architecture_config: of the network as it was built.
        network: with the edits.
        surgery: the edits.
        logits_before: those of the network without the edits.
    """

    architecture_config: dict[str, Any]
    network: nn.Module
    surgery: list[dict[str, Any]]
    logits_before: torch.Tensor

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, side, side)."""
        return get_image_shape(self.architecture_config)

    def compute_logits(self) -> torch.Tensor:
        """Return the logits of the edited network for the images of `logits_before`."""
        return compute_logits(self.network, self.image_shape)


def generate_bad_edits(edit: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield records that a stranger's file might hold: a key more, a value of another type or out of all bounds."""
    yield {**edit, "more": 1}
    for key in edit:
        if key == "op":
            continue
        for path, value in _iterate_values(edit[key], (key,)):
            for wrong_value in WRONG_VALUES_BY_TYPE[type(value)]:
                yield _replace_value(edit, path, wrong_value)


def _iterate_values(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Any]]:
    """Yield a JSON value and all that it contains, each with the keys and indices that lead to it."""
    yield path, value
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, entry in entries:
        yield from _iterate_values(entry, (*path, key))


def _replace_value(edit: Mapping[str, Any], path: JsonPath, value: Any) -> dict[str, Any]:
    changed_edit = copy.deepcopy(dict(edit))
    parent: Any = changed_edit
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = value
    return changed_edit
