import pytest
import torch

from convarium.errors import UserError
from convarium.representations.shared import Shared
from convarium.representations.sparse import Sparse


def test_keeps_values_at_its_positions_and_zeros_elsewhere() -> None:
    dense = torch.arange(1.0, 7.0).view(2, 3)
    sparse = Sparse.from_dense(torch.tensor([5, 0, 2]), dense)
    assert sparse.materialise().tolist() == [[1, 0, 3], [0, 0, 6]]
    assert sparse.stored_tensors[0].tolist() == [1, 3, 6]


def test_a_kept_zero_stays_kept() -> None:
    sparse = Sparse.from_dense(torch.tensor([1, 2]), torch.zeros(4))
    assert sparse.to_spec()["nonzeros"] == 2


def test_its_values_are_a_copy() -> None:
    dense = torch.ones(4)
    sparse = Sparse.from_dense(torch.tensor([1]), dense)
    dense.fill_(7)
    assert sparse.stored_tensors[0].item() == 1


def test_sharing_kept_values_keeps_positions() -> None:
    sparse = Sparse.from_dense(torch.tensor([3, 1]), torch.randn(2, 2))
    both = sparse.replace_innermost(Shared.from_codebook(torch.tensor([0.5, -0.5]), torch.tensor([0, 1])))
    assert both.materialise().tolist() == [[0, 0.5], [0, -0.5]]
    assert both.to_spec() == {"kind": "sparse", "nonzeros": 2, "inner": {"kind": "shared", "size": 2}}


@pytest.mark.parametrize("positions", [[1, 1], [-1, 2], [2, 4]])
def test_impossible_positions_are_refused(positions: list[int]) -> None:
    with pytest.raises(UserError, match="positions"):
        Sparse.from_dense(torch.tensor(positions), torch.zeros(2, 2))


def test_as_many_values_as_positions_are_needed() -> None:
    with pytest.raises(UserError, match="shape"):
        Sparse.from_positions(
            torch.tensor([0, 1]), (4,), Shared.from_codebook(torch.ones(1), torch.zeros(3, dtype=torch.int64))
        )


def test_only_kept_values_get_a_gradient() -> None:
    sparse = Sparse.from_dense(torch.tensor([0, 3]), torch.randn(2, 2))
    values = sparse.stored_tensors[0].requires_grad_()
    (sparse(values) * torch.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [1, 4]
