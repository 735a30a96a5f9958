"""What every representation must do."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from convarium.coding.site_streams import CODERS, SiteReader, SiteWriter
from convarium.conformance.cases import TRAILING_BYTES, list_cut_lengths, parametrize_cases
from convarium.conformance.tensor_comparison import TENSOR_SHAPES, has_same_bits
from convarium.errors import UserError
from convarium.lookup import allow_packages, find_named_packages
from convarium.representations import build_representation, parametrization
from convarium.representations.base import Representation
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse

Form = Callable[[Tensor], Representation]

MAX_SPEC_CHARS = 1000
WRONG_SPEC_VALUES: tuple[Any, ...] = (-1, 10**30, 2.0, True, None, "3", [], {})
TENSOR_MAKERS: Mapping[str, Callable[[tuple[int, ...]], Tensor]] = {
    "normal": torch.randn,
    "zeros": torch.zeros,
    "one value": lambda shape: torch.full(shape, 0.25),
}


class RepresentationSuite:
    """Inherit it and give `forms`: by a name for test ids, a function that fits a representation to a tensor.

    Attributes:
        forms: each is tried with all shapes, values and coders.
        shapes: of the tensors; leave out those that the representation can't hold.
        is_straight_through: its gradients are straight-through estimates, not those of the materialised tensor.
        leaves_nothing_dense: no dense values are left inside for a further step to work on.
    """

    forms: ClassVar[Mapping[str, Form]]
    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = TENSOR_SHAPES
    is_straight_through: ClassVar[bool] = False
    leaves_nothing_dense: ClassVar[bool] = False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, form=self.forms, shape=self.shapes, coder={name: name for name in CODERS})

    @pytest.fixture(autouse=True)
    def _seed_and_allow(self) -> Iterator[None]:
        """Draw the same values in every run, and allow the packages of the kinds that are tried."""
        torch.manual_seed(0)
        specs = [form(torch.randn(4, 5)).to_spec() for form in self.forms.values()]
        torch.manual_seed(0)
        with allow_packages(find_named_packages(specs)):
            yield

    def test_decoding_gives_back_every_bit(self, form: Form, shape: tuple[int, ...], coder: str) -> None:
        for make_tensor in TENSOR_MAKERS.values():
            fitted = form(make_tensor(shape))
            data = encode_representation(fitted, coder)
            decoded = decode_representation(fitted, data, coder)
            assert has_same_bits(decoded.materialise(), fitted.materialise())
            assert [buffer.dtype for buffer in decoded.buffers()] == [buffer.dtype for buffer in fitted.buffers()]
            assert encode_representation(decoded, coder) == data

    def test_it_may_lie_inside_a_sparse_one(self, form: Form, coder: str) -> None:
        values, positions = torch.randn(9), torch.randperm(35)[:9]
        sparse = Sparse.from_positions(positions, (5, 7), form(values))
        data = encode_representation(sparse, coder)
        assert has_same_bits(decode_representation(sparse, data, coder).materialise(), sparse.materialise())

    def test_truncated_bytes_are_refused(self, form: Form, coder: str) -> None:
        fitted = form(torch.randn(13, 5))
        data = encode_representation(fitted, coder)
        for length in list_cut_lengths(len(data), 32):
            with pytest.raises(UserError):
                build_unfitted(fitted).decode(SiteReader(memoryview(data)[:length], coder))

    def test_its_spec_is_small_json(self, form: Form, shape: tuple[int, ...]) -> None:
        spec = form(torch.randn(shape)).to_spec()
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        assert len(json.dumps(spec)) < MAX_SPEC_CHARS

    def test_a_spec_with_a_wrong_key_or_value_is_refused(self, form: Form) -> None:
        for bad_spec in generate_bad_specs(form(torch.randn(6, 6)).to_spec()):
            with pytest.raises(UserError):
                build_representation(bad_spec, (6, 6))

    def test_an_unfitted_one_takes_no_memory(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        unfitted = build_unfitted(fitted)
        assert all(tensor.is_meta for tensor in (*unfitted.buffers(), *unfitted.stored_tensors))
        shapes = [tensor.shape for tensor in unfitted.stored_tensors]
        assert shapes == [tensor.shape for tensor in fitted.stored_tensors]

    def test_an_unfitted_one_takes_the_state_of_a_fitted_one(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        unfitted = build_representation(fitted.to_spec(), fitted.shape)
        unfitted.load_state_dict(fitted.state_dict())
        assert has_same_bits(unfitted(*fitted.stored_tensors), fitted.materialise())

    def test_gradients_reach_every_stored_tensor(self, form: Form) -> None:
        fitted = form(torch.randn(4, 5))
        tensors = [tensor.clone().requires_grad_() for tensor in fitted.stored_tensors]
        (fitted(*tensors) * torch.randn(4, 5)).sum().backward()
        for tensor in tensors:
            assert tensor.grad is not None
            assert tensor.grad.isfinite().all()
            assert not tensor.numel() or tensor.grad.any()

    def test_gradients_are_those_of_the_materialised_tensor(self, form: Form) -> None:
        fitted = form(torch.randn(4, 5))
        tensors = [tensor.double().requires_grad_() for tensor in fitted.stored_tensors]
        if not self.is_straight_through and any(tensor.numel() for tensor in tensors):
            assert torch.autograd.gradcheck(fitted, tensors)

    def test_fitting_to_what_it_is_changes_nothing(self, form: Form) -> None:
        fitted = form(torch.randn(6, 11))
        before = fitted.materialise()
        torch.testing.assert_close(fitted.project(before).materialise(), before, rtol=1e-6, atol=1e-7)

    def test_every_bit_survives_being_attached(self, form: Form) -> None:
        layer = nn.Linear(9, 7)
        fitted = form(layer.weight)
        before = fitted.materialise()
        parametrization.attach_representations(layer, {"weight": fitted})
        assert has_same_bits(layer.weight.detach(), before)

    def test_stored_tensors_are_handed_over_once(self, form: Form) -> None:
        dense = torch.randn(5, 3)
        fitted = form(dense)
        fitted.right_inverse(dense)
        with pytest.raises(UserError, match="can't be assigned"):
            fitted.right_inverse(dense)

    def test_the_innermost_values_are_what_a_further_step_refits(self, form: Form) -> None:
        dense = torch.randn(8, 4)
        fitted = form(dense)
        if self.leaves_nothing_dense:
            with pytest.raises(UserError):
                fitted.extract_innermost(dense)
            with pytest.raises(UserError):
                fitted.replace_innermost(build_shared_ones(dense.numel()))
            return
        innermost_values = fitted.extract_innermost(dense)
        refitted = fitted.replace_innermost(build_shared_ones(innermost_values.numel()))
        assert has_same_bits(refitted.materialise(), fitted.project(torch.ones(8, 4)).materialise())

    def test_a_changed_tensor_gets_the_same_form_with_the_same_values(self, form: Form) -> None:
        fitted = form(torch.randn(6, 8))
        cut_tensor = fitted.materialise()[[0, 2, 3, 5]][:, 1:].clone()
        rebuilt = fitted.rebuild(cut_tensor, fitted.stored_tensors)
        assert rebuilt.to_spec()["kind"] == fitted.to_spec()["kind"]
        torch.testing.assert_close(rebuilt.materialise(), cut_tensor, rtol=1e-6, atol=0)


def encode_representation(representation: Representation, coder: str) -> bytes:
    """Return the bytes of a representation that is attached to no network."""
    writer = SiteWriter(coder)
    representation.encode(representation.stored_tensors, writer)
    return bytes(writer.data)


def build_unfitted(representation: Representation) -> Representation:
    """Return what a file's reader builds from the spec on the meta device, before a byte is decoded."""
    stored_spec = json.loads(json.dumps(representation.to_spec()))
    with torch.device("meta"):
        return build_representation(stored_spec, representation.shape)


def decode_representation(representation: Representation, data: bytes, coder: str) -> Representation:
    """Decode `data` with other bytes behind it, and check that exactly `data` is read."""
    reader = SiteReader(memoryview(data + TRAILING_BYTES), coder)
    decoded = build_unfitted(representation)
    decoded.decode(reader)
    assert bytes(reader.data) == TRAILING_BYTES
    assert reader.bytes_by_kind.total() == len(data)
    return decoded


def build_shared_ones(size: int) -> Shared:
    """Return a vector of ones in shared form: what a further step would put inside."""
    return Shared.from_codebook(torch.tensor([1.0]), torch.zeros(size, dtype=torch.int64))


def generate_bad_specs(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield specs that a stranger's file might hold: a key more, a key less, another kind, a wrong value."""
    yield {**spec, "more": 1}
    for kind in ("base", "os.path", "os.path:join", 3, None):
        yield {**spec, "kind": kind}
    for key in spec:
        yield {name: value for name, value in spec.items() if name != key}
        if key != "kind":
            yield from ({**spec, key: value} for value in WRONG_SPEC_VALUES)
