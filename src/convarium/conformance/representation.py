"""What every representation must do."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from convarium.coding.site_streams import CODERS, SiteReader, SiteWriter
from convarium.conformance.cases import parametrize_cases
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
    """Inherit it and give `forms`: by a name for people, a function that fits a representation to a tensor.

    Attributes:
        forms: each is tried with all shapes, values and coders.
        shapes: of the tensors; leave out what the representation can't be of.
        is_straight_through: its gradients are not those of what it computes (straight-through).
        leaves_nothing_dense: nothing dense is left inside that a further step could work on.
    """

    forms: ClassVar[Mapping[str, Form]]
    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = TENSOR_SHAPES
    is_straight_through: ClassVar[bool] = False
    leaves_nothing_dense: ClassVar[bool] = False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        parametrize_cases(metafunc, form=self.forms, shape=self.shapes, coder={name: name for name in CODERS})

    @pytest.fixture(autouse=True)
    def _seed_and_allow(self) -> Iterator[None]:
        """Draw the same values every time, and allow the packages of the kinds that are tried."""
        torch.manual_seed(0)
        kinds = [form(torch.randn(4, 5)).to_spec() for form in self.forms.values()]
        torch.manual_seed(0)
        with allow_packages(find_named_packages(kinds)):
            yield

    def test_decoding_gives_back_every_bit(self, form: Form, shape: tuple[int, ...], coder: str) -> None:
        for draw in TENSOR_MAKERS.values():
            first = form(draw(shape))
            data = encode_representation(first, coder)
            again = decode_representation(first, data, coder)
            assert has_same_bits(again.materialise(), first.materialise())
            assert [buffer.dtype for buffer in again.buffers()] == [buffer.dtype for buffer in first.buffers()]
            assert encode_representation(again, coder) == data

    def test_it_may_lie_inside_a_sparse_one(self, form: Form, coder: str) -> None:
        values, positions = torch.randn(9), torch.randperm(35)[:9]
        first = Sparse.from_positions(positions, (5, 7), form(values))
        data = encode_representation(first, coder)
        assert has_same_bits(decode_representation(first, data, coder).materialise(), first.materialise())

    def test_truncated_bytes_are_refused(self, form: Form, coder: str) -> None:
        first = form(torch.randn(13, 5))
        data = encode_representation(first, coder)
        for length in sorted({*range(0, len(data), -(-len(data) // 32) or 1), len(data) - 1} & {*range(len(data))}):
            with pytest.raises(UserError):
                build_unfitted(first).decode(SiteReader(memoryview(data)[:length], coder))

    def test_its_spec_is_small_json(self, form: Form, shape: tuple[int, ...]) -> None:
        spec = form(torch.randn(shape)).to_spec()
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        assert len(json.dumps(spec)) < MAX_SPEC_CHARS

    def test_a_spec_with_a_wrong_key_or_value_is_refused(self, form: Form) -> None:
        for wrong in generate_bad_specs(form(torch.randn(6, 6)).to_spec()):
            with pytest.raises(UserError):
                build_representation(wrong, (6, 6))

    def test_an_unfitted_one_takes_no_memory(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        bare = build_unfitted(fitted)
        assert all(tensor.is_meta for tensor in (*bare.buffers(), *bare.stored_tensors))
        assert [tensor.shape for tensor in bare.stored_tensors] == [tensor.shape for tensor in fitted.stored_tensors]

    def test_an_unfitted_one_takes_the_state_of_a_fitted_one(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        bare = build_representation(fitted.to_spec(), fitted.shape)
        bare.load_state_dict(fitted.state_dict())
        assert has_same_bits(bare(*fitted.stored_tensors), fitted.materialise())

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
        refitted = fitted.replace_innermost(build_shared_ones(fitted.extract_innermost(dense).numel()))
        assert has_same_bits(refitted.materialise(), fitted.project(torch.ones(8, 4)).materialise())

    def test_a_changed_tensor_gets_the_same_form_with_the_same_values(self, form: Form) -> None:
        fitted = form(torch.randn(6, 8))
        cut = fitted.materialise()[[0, 2, 3, 5]][:, 1:].clone()
        changed = fitted.rebuild(cut, fitted.stored_tensors)
        assert changed.to_spec()["kind"] == fitted.to_spec()["kind"]
        torch.testing.assert_close(changed.materialise(), cut, rtol=1e-6, atol=0)


def encode_representation(representation: Representation, coder: str) -> bytes:
    """Return the bytes of a representation that is attached to nothing."""
    writer = SiteWriter(coder)
    representation.encode(representation.stored_tensors, writer)
    return bytes(writer.data)


def build_unfitted(representation: Representation) -> Representation:
    """Return what a file's reader makes of its spec, before a byte is decoded."""
    with torch.device("meta"):
        return build_representation(json.loads(json.dumps(representation.to_spec())), representation.shape)


def decode_representation(representation: Representation, data: bytes, coder: str) -> Representation:
    """Decode `data`, behind which other bytes follow; it must take all of its own and none of those."""
    reader = SiteReader(memoryview(data + b"\xff\x00\x7f"), coder)
    again = build_unfitted(representation)
    again.decode(reader)
    assert bytes(reader.data) == b"\xff\x00\x7f"
    assert reader.bytes_by_kind.total() == len(data)
    return again


def build_shared_ones(size: int) -> Shared:
    """Return a vector of ones, shared."""
    return Shared.from_codebook(torch.tensor([1.0]), torch.zeros(size, dtype=torch.int64))


def generate_bad_specs(spec: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield specs that a stranger's file might hold."""
    own = set(spec) - {"kind"}
    yield {**spec, "more": 1}
    yield from ({**spec, "kind": kind} for kind in ("base", "os.path", "os.path:join", 3, None))
    yield from ({**spec, key: value} for key in own for value in WRONG_SPEC_VALUES)
    yield from ({name: value for name, value in spec.items() if name != key} for key in spec)
