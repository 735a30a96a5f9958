"""What every representation must do. A new one adds a line to FORMS."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from convarium.compression import host
from convarium.compression.file.streams import CODERS, Reader, Writer
from convarium.compression.representations import from_spec
from convarium.compression.representations.base import Representation
from convarium.compression.representations.dense import Dense
from convarium.compression.representations.shared import Shared
from convarium.compression.representations.sparse import Sparse
from convarium.errors import UserError


def some_positions(size: int) -> Tensor:
    return torch.randperm(size)[: (size + 2) // 3]


def shared(shape: Sequence[int], size: int = 5) -> Shared:
    return Shared.of(torch.randn(size), torch.randint(0, size, tuple(shape)))


def sparse(dense: Tensor) -> Sparse:
    return Sparse.at(some_positions(dense.numel()), dense)


FORMS: dict[str, Callable[[Tensor], Representation]] = {
    "dense": lambda dense: Dense(dense.shape).fit(dense),
    "sparse": sparse,
    "sparse, nothing kept": lambda dense: Sparse.at(torch.zeros(0, dtype=torch.int64), dense),
    "sparse, all kept": lambda dense: Sparse.at(torch.arange(dense.numel()), dense),
    "shared": lambda dense: shared(dense.shape),
    "shared, one entry": lambda dense: shared(dense.shape, 1),
    "shared, more entries than values": lambda dense: shared(dense.shape, 300),
    "sparse(shared)": lambda dense: sparse(dense).refit(shared([(dense.numel() + 2) // 3])),
}
SHAPES: dict[str, tuple[int, ...]] = {
    "1-D": (7,),
    "2-D": (13, 5),
    "4-D": (4, 3, 3, 5),
    "empty": (0, 4),
    "one value": (1,),
    "scalar": (),
    "long": (70_001,),
}
VALUES = {"normal": torch.randn, "zeros": torch.zeros, "one value": lambda shape: torch.full(shape, 0.25)}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Tensor], Representation]:
    torch.manual_seed(0)
    return FORMS[request.param]


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize("values", VALUES)
@pytest.mark.parametrize("shape", SHAPES)
def test_decoding_gives_back_every_bit_of_what_was_encoded(form, shape, values, coder) -> None:
    first = form(VALUES[values](SHAPES[shape]))
    writer = Writer(coder)
    first.encode(first.stored, writer)
    reader = Reader(memoryview(bytes(writer.data)), coder)
    with torch.device("meta"):
        again = from_spec(first.spec(), first.shape)
    again.decode(reader)
    assert not reader.data
    assert reader.bytes.total() == len(writer.data)
    assert_same_bits(again.materialised(), first.materialised())
    assert [tensor.dtype for tensor in again.buffers()] == [tensor.dtype for tensor in first.buffers()]
    for one, other in zip([*again.buffers(), *again.stored], [*first.buffers(), *first.stored], strict=True):
        assert_same_bits(one, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_an_unfitted_one_takes_the_state_of_a_fitted_one(form, shape) -> None:
    fitted = form(torch.randn(SHAPES[shape]))
    unfitted = from_spec(fitted.spec(), fitted.shape)
    unfitted.load_state_dict(fitted.state_dict())
    assert [tensor.shape for tensor in unfitted.stored] == [tensor.shape for tensor in fitted.stored]
    assert_same_bits(unfitted(*fitted.stored), fitted.materialised())


def test_fitting_to_what_it_is_changes_nothing(form) -> None:
    fitted = form(torch.randn(6, 11))
    before = fitted.materialised()
    torch.testing.assert_close(fitted.fit(before).materialised(), before, rtol=1e-6, atol=1e-7)


def test_gradients_are_those_of_the_materialised_tensor(form) -> None:
    fitted = form(torch.randn(4, 5))
    tensors = [tensor.double().requires_grad_() for tensor in fitted.stored]
    if any(tensor.numel() for tensor in tensors):
        assert torch.autograd.gradcheck(fitted, tensors)


def test_values_with_every_bit_pattern_survive_being_attached(form) -> None:
    layer = nn.Linear(9, 7)
    fitted = form(layer.weight)
    before = fitted.materialised()
    host.attach(layer, {"weight": fitted})
    assert_same_bits(layer.weight.detach(), before)


def test_stored_tensors_are_handed_over_once(form) -> None:
    dense = torch.randn(5, 3)
    fitted = form(dense)
    fitted.right_inverse(dense)
    with pytest.raises(UserError, match="can't be assigned"):
        fitted.right_inverse(dense)


def test_a_spec_with_a_wrong_key_or_value_is_refused(form) -> None:
    spec = form(torch.randn(6, 6)).spec()
    for wrong in [
        spec | {"more": 1},
        spec | {"kind": "base"},
        spec | {"kind": "os.path"},
        spec | {"kind": 3},
        *({**spec, key: value} for key in set(spec) - {"kind"} for value in (-1, 10**30, 2.0, True, None, "3", [], {})),
        *({name: value for name, value in spec.items() if name != key} for key in spec),
    ]:
        with pytest.raises(UserError):
            from_spec(wrong, (6, 6))


def test_the_innermost_values_are_what_a_further_step_refits(form) -> None:
    dense = torch.randn(8, 4)
    fitted = form(dense)
    if "shared" in str(fitted.spec()):
        with pytest.raises(UserError, match="shared"):
            fitted.innermost(dense)
        return
    values = fitted.innermost(dense)
    refitted = fitted.refit(Shared.of(torch.tensor([1.0]), torch.zeros(values.numel(), dtype=torch.int64)))
    assert_same_bits(refitted.materialised(), fitted.fit(torch.ones(8, 4)).materialised())


def assert_same_bits(one: Tensor, other: Tensor) -> None:
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    assert one.detach().numpy().tobytes() == other.detach().numpy().tobytes()
