import pytest
import torch

from convarium.coding.site_streams import SiteWriter
from convarium.errors import UserError
from convarium.representations.shared import Shared


def test_values_are_entries_of_the_codebook() -> None:
    shared = Shared.from_codebook(torch.tensor([0.5, -1.0]), torch.tensor([[0, 1], [1, 1]]))
    assert shared.materialise().tolist() == [[0.5, -1], [-1, -1]]


def test_the_gradient_of_an_entry_is_the_sum_over_its_members() -> None:
    shared = Shared.from_codebook(torch.zeros(3), torch.tensor([2, 0, 2, 2]))
    codebook = shared.stored_tensors[0].requires_grad_()
    (shared(codebook) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert codebook.grad is not None
    assert codebook.grad.tolist() == [2, 0, 8]


def test_the_same_gradient_twice_is_equal_bit_for_bit() -> None:
    torch.manual_seed(0)
    shared = Shared.from_codebook(torch.zeros(32), torch.randint(0, 32, (100_000,)))
    weights = torch.randn(100_000)
    gradients = []
    for _ in range(2):
        codebook = torch.randn(32, requires_grad=True)
        (shared(codebook) * weights).sum().backward()
        gradients.append(codebook.grad)
    assert torch.equal(*gradients)


def test_fitting_keeps_ids_and_takes_means() -> None:
    shared = Shared.from_codebook(torch.tensor([9.0, 9.0, 9.0]), torch.tensor([0, 0, 2]))
    assert shared.project(torch.tensor([1.0, 2.0, 5.0])).stored_tensors[0].tolist() == [1.5, 9, 5]


@pytest.mark.parametrize(("size", "bits"), [(1, 0), (2, 1), (3, 2), (64, 6), (65, 7)])
def test_an_id_takes_as_few_whole_bits_as_it_can(size: int, bits: int) -> None:
    shared, writer = Shared.from_codebook(torch.zeros(size), torch.zeros(800, dtype=torch.int64)), SiteWriter()
    shared.encode(shared.stored_tensors, writer)
    assert len(writer.data) == 4 * size + 100 * bits


@pytest.mark.parametrize("ids", [[-1, 0], [0, 2]])
def test_ids_without_an_entry_are_refused(ids: list[int]) -> None:
    with pytest.raises(UserError, match="ids"):
        Shared.from_codebook(torch.zeros(2), torch.tensor(ids))


def test_shared_values_can_not_be_shared_again() -> None:
    shared = Shared.from_codebook(torch.zeros(2), torch.tensor([0, 1]))
    with pytest.raises(UserError, match="already shared"):
        shared.extract_innermost(torch.zeros(2))
    with pytest.raises(UserError, match="already shared"):
        shared.replace_innermost(shared)
