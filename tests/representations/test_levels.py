"""Whole numbers times a trained scale."""

from math import exp, sqrt

import pytest
import torch
from torch import Tensor

from convarium.coding.site_streams import SiteReader, SiteWriter
from convarium.errors import UserError
from convarium.representations.levels import DRIFT_RATE, Levels


def test_each_value_takes_its_nearest_level() -> None:
    dense = torch.tensor([[0.2, -0.3, 0.76], [9.0, -9.0, 0.0]])
    levels = Levels.quantise(dense, torch.tensor([0.5]), largest=2)
    assert levels.materialise().tolist() == [[0, -0.5, 1], [1, -1, 0]]


def test_each_output_can_have_a_scale_of_its_own() -> None:
    levels = Levels.quantise(torch.tensor([[0.6, -3.0], [6.0, 30.0]]), torch.tensor([0.5, 10.0]), largest=3)
    assert levels.materialise().tolist() == [[0.5, -1.5], [10, 30]]


def test_kept_values_never_become_zero() -> None:
    levels = Levels.quantise(torch.tensor([0.1, -0.1, 0.0, -0.0, 0.9]), torch.tensor([0.5]), largest=3, zeros=False)
    assert levels.materialise().tolist() == [0.5, -0.5, 0.5, 0.5, 1.0]


@pytest.mark.parametrize(("largest", "zeros", "bits"), [(1, False, 1), (1, True, 2), (3, True, 3), (127, True, 8)])
def test_a_value_takes_as_few_whole_bits_as_it_can(largest: int, zeros: bool, bits: int) -> None:
    levels, writer = Levels.quantise(torch.randn(800), torch.tensor([0.3]), largest, zeros), SiteWriter()
    levels.encode(levels.stored_tensors, writer)
    assert len(writer.data) == 4 + 100 * bits


@pytest.mark.parametrize("channels", [1, 40])
def test_values_are_exactly_whole_numbers_times_the_stored_scale_also_after_training(channels: int) -> None:
    """The idiom w + (q - w).detach() gives many more distinct values, which no file would bring back."""
    torch.manual_seed(0)
    levels = Levels.quantise(torch.randn(40, 500), torch.rand(channels) + 0.01, largest=7)
    trained = (levels.stored_tensors[0] + 0.01 * torch.randn(20_000), torch.randn(channels))
    values, writer, second = levels(*trained), SiteWriter(), SiteWriter()
    levels.encode(trained, writer)
    again = Levels((40, 500), 7, channels).decode(SiteReader(memoryview(bytes(writer.data))))
    assert again.materialise().numpy().tobytes() == values.numpy().tobytes()
    again.encode(again.stored_tensors, second)
    assert second.data == writer.data
    assert all(len(row.unique()) <= 15 for row in values.view(channels, -1))


def slow_gradients(
    latents: Tensor, drift: float, start: float, largest: int, zeros: bool, gradient: Tensor
) -> tuple[list[float], float]:
    """Value by value as Esser et al. 2020 write it (equations 2 and 3, section 2.2), the scale's over the scale."""
    scale, of_scale, of_latents = start * exp(DRIFT_RATE * drift), 0.0, []
    for value, each in zip(latents.tolist(), gradient.tolist(), strict=True):
        ratio = value / scale
        level = min(max(round(ratio), -largest), largest)
        if level == 0 and not zeros:
            level = -1 if value < 0 else 1
        is_inside = abs(ratio) <= largest
        of_latents.append(each if is_inside else 0.0)
        of_scale += each * (level - ratio if is_inside else level)
    return of_latents, of_scale / sqrt(latents.numel() * largest) / scale


@pytest.mark.parametrize("zeros", [True, False])
@pytest.mark.parametrize("largest", [1, 3, 7])
def test_gradients_are_those_of_learned_step_size_quantization(largest: int, zeros: bool) -> None:
    torch.manual_seed(largest)
    levels = Levels.quantise(torch.randn(300), torch.tensor([0.4]), largest, zeros)
    latents, drift = levels.stored_tensors[0].requires_grad_(), torch.tensor([0.7], requires_grad=True)
    gradient = torch.randn(300)
    (levels(latents, drift) * gradient).sum().backward()
    of_latents, of_drift = slow_gradients(latents.detach(), 0.7, 0.4, largest, zeros, gradient)
    assert latents.grad is not None
    assert drift.grad is not None
    assert latents.grad.tolist() == pytest.approx(of_latents)
    assert float(drift.grad) == pytest.approx(of_drift, rel=1e-4)


def test_each_output_s_scale_gets_the_gradient_of_its_own_values() -> None:
    torch.manual_seed(0)
    dense, scales, gradient = torch.randn(3, 50), torch.tensor([0.2, 0.4, 0.8]), torch.randn(3, 50)
    levels = Levels.quantise(dense, scales, largest=3)
    tensors = [tensor.requires_grad_() for tensor in levels.stored_tensors]
    (levels(*tensors) * gradient).sum().backward()
    for row, scale in enumerate(scales.tolist()):
        _, expected = slow_gradients(dense[row], 0.0, scale, 3, True, gradient[row])
        assert float(tensors[1].grad[row]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_a_step_of_adam_moves_a_scale_ten_times_less_than_it_would_a_logarithm(rate: float) -> None:
    levels = Levels.quantise(torch.randn(100), torch.tensor([0.4]), largest=3)
    tensors = [tensor.requires_grad_() for tensor in levels.stored_tensors]
    (levels(*tensors) ** 2).sum().backward()
    torch.optim.Adam(tensors, lr=rate).step()
    writer = SiteWriter()
    levels.encode(tensors, writer)
    scale = float(torch.frombuffer(writer.data, dtype=torch.float32, count=1))
    assert scale / 0.4 == pytest.approx(exp(-0.1 * rate), rel=1e-6)


def test_an_attached_grid_that_does_not_move_ends_where_it_began() -> None:
    """The exponential of no drift is 1 to the last bit."""
    start = torch.rand(10_000) + 1e-3
    levels = Levels.quantise(torch.ones(10_000, 1), start, largest=1)
    assert torch.equal(levels._compute_scales(torch.zeros(10_000)), start)


def test_after_surgery_each_output_keeps_its_scale() -> None:
    torch.manual_seed(0)
    levels = Levels.quantise(torch.randn(8, 30), torch.rand(8) + 0.1, largest=3)
    kept = [0, 3, 4, 7]
    changed = levels.rebuild(levels.materialise()[kept, 5:], levels.stored_tensors)
    assert changed.to_spec() == {"kind": "levels", "largest": 3, "channels": 4, "zeros": 1}
    assert torch.equal(changed.start, levels.start[kept])


@pytest.mark.parametrize("scales", [[0.0], [-1.0], [torch.nan], [torch.inf]])
def test_scales_that_are_no_sizes_are_refused(scales: list[float]) -> None:
    with pytest.raises(UserError, match="positive"):
        Levels.quantise(torch.randn(4), torch.tensor(scales), 3)
    data = torch.tensor(scales).numpy().tobytes() + b"\0\0"
    with pytest.raises(UserError, match="positive"):
        Levels((4,), 3).decode(SiteReader(memoryview(data)))


@pytest.mark.parametrize("shape", [(4,), (2, 6), (0, 3), ()])
def test_a_number_of_scales_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="4 scales do not fit"):
        Levels(shape, 3, scale_count=4)
    with pytest.raises(UserError, match="4 scales do not fit"):
        Levels((4, 3), 3, scale_count=4).reshape_to((12,))
