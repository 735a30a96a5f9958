"""Signs times the mean size of a filter."""

import pytest
import torch

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError
from convarium.representations.binary import Binary


def test_values_are_signs_times_the_mean_size_of_their_filter() -> None:
    dense = torch.tensor([[1.0, -3.0, 2.0], [0.5, 0.0, -0.25]])
    assert Binary((2, 3)).project(dense).materialise().tolist() == [[2, -2, 2], [0.25, 0.25, -0.25]]


def test_this_scale_has_the_least_squared_error() -> None:
    """Rastegari et al. 2016, equation 6."""
    dense = torch.randn(1, 200, generator=torch.Generator().manual_seed(0))
    values = Binary((1, 200)).project(dense).materialise()
    error = float((dense - values).square().sum())
    for share in (0.9, 0.99, 1.01, 1.1):
        assert float((dense - share * values).square().sum()) > error


@pytest.mark.parametrize(("shape", "scales"), [((6, 4, 3, 3), 6), ((5, 40), 5), ((200,), 1)])
def test_a_bit_a_value_and_a_scale_a_filter(shape: tuple[int, ...], scales: int) -> None:
    binary, writer = Binary(shape).project(torch.randn(shape)), SiteWriter()
    binary.encode(binary.stored_tensors, writer)
    assert len(writer.data) == 4 * scales + (binary.numel + 7) // 8


def test_decoded_scales_are_the_mean_sizes_again_to_the_last_bit() -> None:
    torch.manual_seed(0)
    for size in (1, 3, 1000, 99_991):
        binary, writer = Binary((7, size)).project(torch.randn(7, size)), SiteWriter()
        binary.encode(binary.stored_tensors, writer)
        again = Binary((7, size)).decode(SiteReader(memoryview(bytes(writer.data))))
        assert again.materialise().numpy().tobytes() == binary.materialise().numpy().tobytes()


def test_the_gradient_is_the_papers() -> None:
    """Rastegari et al. 2016, section 3.2: the output's gradient times (1 / n + scale * [|w| <= 1])."""
    dense = torch.tensor([[0.5, -1.0, 1.5], [-2.0, 0.1, 0.9]])
    latents = Binary((2, 3)).project(dense).stored_tensors[0].requires_grad_()
    (Binary((2, 3))(latents) * torch.arange(1.0, 7.0).view(2, 3)).sum().backward()
    assert latents.grad is not None
    share, scales = 1 / 3, (1.0, 1.0)
    torch.testing.assert_close(
        latents.grad.view(2, 3),
        torch.tensor(
            [
                [1 * (share + scales[0]), 2 * (share + scales[0]), 3 * share],
                [4 * share, 5 * (share + scales[1]), 6 * (share + scales[1])],
            ]
        ),
    )


@pytest.mark.parametrize("scale", [-1.0, -0.0, torch.nan, torch.inf])
def test_scales_that_are_no_sizes_are_refused(scale: float) -> None:
    data = torch.tensor([scale]).numpy().tobytes() + b"\0"
    with pytest.raises(UserError, match="scale"):
        Binary((8,)).decode(SiteReader(memoryview(data)))
