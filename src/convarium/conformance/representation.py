"""What every representation must do."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from convarium.compression import host
from convarium.compression.file.streams import CODERS, Reader, Writer
from convarium.compression.representations import from_spec
from convarium.compression.representations.base import Representation
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse
from convarium.conformance.cases import each
from convarium.conformance.values import SHAPES, same_bits
from convarium.errors import UserError
from convarium.names import allowing, packages

Form = Callable[[Tensor], Representation]

LONGEST_SPEC = 1000
WRONG: tuple[Any, ...] = (-1, 10**30, 2.0, True, None, "3", [], {})
VALUES: Mapping[str, Callable[[tuple[int, ...]], Tensor]] = {
    "normal": torch.randn,
    "zeros": torch.zeros,
    "one value": lambda shape: torch.full(shape, 0.25),
}


class RepresentationSuite:
    """Inherit it and give `forms`: by a name for people, a function that fits a representation to a tensor.

    Attributes:
        forms: each is tried with all shapes, values and coders.
        shapes: of the tensors; leave out what the representation can't be of.
        rounds: its gradients are not those of what it computes (straight-through).
        takes_all: nothing dense is left inside that a further step could work on.
    """

    forms: ClassVar[Mapping[str, Form]]
    shapes: ClassVar[Mapping[str, tuple[int, ...]]] = SHAPES
    rounds: ClassVar[bool] = False
    takes_all: ClassVar[bool] = False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        each(metafunc, form=self.forms, shape=self.shapes, coder={name: name for name in CODERS})

    @pytest.fixture(autouse=True)
    def _seeded(self) -> Iterator[None]:
        """Draw the same values every time, and allow the packages of the kinds that are tried."""
        torch.manual_seed(0)
        kinds = [form(torch.randn(4, 5)).spec() for form in self.forms.values()]
        torch.manual_seed(0)
        with allowing(packages(kinds)):
            yield

    def test_decoding_gives_back_every_bit(self, form: Form, shape: tuple[int, ...], coder: str) -> None:
        for draw in VALUES.values():
            first = form(draw(shape))
            data = encoded(first, coder)
            again = decoded(first, data, coder)
            assert same_bits(again.materialised(), first.materialised())
            assert [buffer.dtype for buffer in again.buffers()] == [buffer.dtype for buffer in first.buffers()]
            assert encoded(again, coder) == data

    def test_it_may_lie_inside_a_sparse_one(self, form: Form, coder: str) -> None:
        values, positions = torch.randn(9), torch.randperm(35)[:9]
        first = Sparse.of(positions, (5, 7), form(values))
        data = encoded(first, coder)
        assert same_bits(decoded(first, data, coder).materialised(), first.materialised())

    def test_truncated_bytes_are_refused(self, form: Form, coder: str) -> None:
        first = form(torch.randn(13, 5))
        data = encoded(first, coder)
        for length in sorted({*range(0, len(data), -(-len(data) // 32) or 1), len(data) - 1} & {*range(len(data))}):
            with pytest.raises(UserError):
                unfitted(first).decode(Reader(memoryview(data)[:length], coder))

    def test_its_spec_is_small_json(self, form: Form, shape: tuple[int, ...]) -> None:
        spec = form(torch.randn(shape)).spec()
        assert json.loads(json.dumps(spec, allow_nan=False)) == spec
        assert len(json.dumps(spec)) < LONGEST_SPEC

    def test_a_spec_with_a_wrong_key_or_value_is_refused(self, form: Form) -> None:
        for wrong in strange(form(torch.randn(6, 6)).spec()):
            with pytest.raises(UserError):
                from_spec(wrong, (6, 6))

    def test_an_unfitted_one_takes_no_memory(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        bare = unfitted(fitted)
        assert all(tensor.is_meta for tensor in (*bare.buffers(), *bare.stored))
        assert [tensor.shape for tensor in bare.stored] == [tensor.shape for tensor in fitted.stored]

    def test_an_unfitted_one_takes_the_state_of_a_fitted_one(self, form: Form, shape: tuple[int, ...]) -> None:
        fitted = form(torch.randn(shape))
        bare = from_spec(fitted.spec(), fitted.shape)
        bare.load_state_dict(fitted.state_dict())
        assert same_bits(bare(*fitted.stored), fitted.materialised())

    def test_gradients_reach_every_stored_tensor(self, form: Form) -> None:
        fitted = form(torch.randn(4, 5))
        tensors = [tensor.clone().requires_grad_() for tensor in fitted.stored]
        (fitted(*tensors) * torch.randn(4, 5)).sum().backward()
        for tensor in tensors:
            assert tensor.grad is not None
            assert tensor.grad.isfinite().all()
            assert not tensor.numel() or tensor.grad.any()

    def test_gradients_are_those_of_the_materialised_tensor(self, form: Form) -> None:
        fitted = form(torch.randn(4, 5))
        tensors = [tensor.double().requires_grad_() for tensor in fitted.stored]
        if not self.rounds and any(tensor.numel() for tensor in tensors):
            assert torch.autograd.gradcheck(fitted, tensors)

    def test_fitting_to_what_it_is_changes_nothing(self, form: Form) -> None:
        fitted = form(torch.randn(6, 11))
        before = fitted.materialised()
        torch.testing.assert_close(fitted.fit(before).materialised(), before, rtol=1e-6, atol=1e-7)

    def test_every_bit_survives_being_attached(self, form: Form) -> None:
        layer = nn.Linear(9, 7)
        fitted = form(layer.weight)
        before = fitted.materialised()
        host.attach(layer, {"weight": fitted})
        assert same_bits(layer.weight.detach(), before)

    def test_stored_tensors_are_handed_over_once(self, form: Form) -> None:
        dense = torch.randn(5, 3)
        fitted = form(dense)
        fitted.right_inverse(dense)
        with pytest.raises(UserError, match="can't be assigned"):
            fitted.right_inverse(dense)

    def test_the_innermost_values_are_what_a_further_step_refits(self, form: Form) -> None:
        dense = torch.randn(8, 4)
        fitted = form(dense)
        if self.takes_all:
            with pytest.raises(UserError):
                fitted.innermost(dense)
            with pytest.raises(UserError):
                fitted.refit(constant(dense.numel()))
            return
        refitted = fitted.refit(constant(fitted.innermost(dense).numel()))
        assert same_bits(refitted.materialised(), fitted.fit(torch.ones(8, 4)).materialised())

    def test_a_changed_tensor_gets_the_same_form_with_the_same_values(self, form: Form) -> None:
        fitted = form(torch.randn(6, 8))
        cut = fitted.materialised()[[0, 2, 3, 5]][:, 1:].clone()
        changed = fitted.like(cut, fitted.stored)
        assert changed.spec()["kind"] == fitted.spec()["kind"]
        torch.testing.assert_close(changed.materialised(), cut, rtol=1e-6, atol=0)


def encoded(representation: Representation, coder: str) -> bytes:
    """Return the bytes of a representation that is attached to nothing."""
    writer = Writer(coder)
    representation.encode(representation.stored, writer)
    return bytes(writer.data)


def unfitted(representation: Representation) -> Representation:
    """Return what a file's reader makes of its spec, before a byte is decoded."""
    with torch.device("meta"):
        return from_spec(json.loads(json.dumps(representation.spec())), representation.shape)


def decoded(representation: Representation, data: bytes, coder: str) -> Representation:
    """Decode `data`, behind which other bytes follow; it must take all of its own and none of those."""
    reader = Reader(memoryview(data + b"\xff\x00\x7f"), coder)
    again = unfitted(representation)
    again.decode(reader)
    assert bytes(reader.data) == b"\xff\x00\x7f"
    assert reader.bytes.total() == len(data)
    return again


def constant(size: int) -> Shared:
    """Return a vector of ones, shared."""
    return Shared.of(torch.tensor([1.0]), torch.zeros(size, dtype=torch.int64))


def strange(spec: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Yield specs that a stranger's file might hold."""
    own = set(spec) - {"kind"}
    yield {**spec, "more": 1}
    yield from ({**spec, "kind": kind} for kind in ("base", "os.path", "os.path:join", 3, None))
    yield from ({**spec, key: value} for key in own for value in WRONG)
    yield from ({name: value for name, value in spec.items() if name != key} for key in spec)
