"""The projection is the transpose of the network where it is linear, and the paper's where it is not."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.measurement.deconvnet.call_path import trace_calls, trace_path_to_image
from convarium.measurement.deconvnet.projection import Peak, find_peaks, project_peak, project_signal


def back(network: nn.Module, image: Tensor, signal: Tensor) -> Tensor:
    found = trace_calls(network.eval(), image)
    return project_signal(trace_path_to_image(found, found[-1].name), signal)


def transposed(network: nn.Module, image: Tensor, signal: Tensor) -> Tensor:
    """The vector-Jacobian product, by autograd."""
    x = image.clone().requires_grad_()
    (found,) = torch.autograd.grad(network(x), x, signal)
    return found


def shaken(network: nn.Module) -> nn.Module:
    """Batch norms with statistics, scales and shifts as training leaves them."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                if tensor is not None:
                    tensor.data.uniform_(0.3, 2.0)
    return network.eval()


LINEAR: dict[str, Callable[[], nn.Module]] = {
    "strides, padding, a rest that no window sees": lambda: nn.Conv2d(4, 6, 3, stride=(3, 2), padding=(1, 0)),
    "groups": lambda: nn.Conv2d(4, 8, 3, padding=1, groups=2),
    "dilation": lambda: nn.Conv2d(4, 3, 3, dilation=2),
    "batch norm": lambda: nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Conv2d(5, 2, 3)),
    "batch norm without scales": lambda: nn.Sequential(nn.BatchNorm2d(4, affine=False), nn.Conv2d(4, 2, 3)),
    "max pooling": lambda: nn.Sequential(nn.Conv2d(4, 5, 3), nn.MaxPool2d(2), nn.Conv2d(5, 3, 2)),
    "overlapping max pooling with a border": lambda: nn.Sequential(nn.Conv2d(4, 5, 3), nn.MaxPool2d(3, 2, 1)),
    "max pooling that rounds up": lambda: nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 3, 2)),
    "dilated max pooling": lambda: nn.MaxPool2d(2, 1, dilation=3),
    "average pooling": lambda: nn.Sequential(nn.Conv2d(4, 5, 3), nn.AvgPool2d(3, 2, 1), nn.Conv2d(5, 2, 1)),
    "global pooling": lambda: nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.AdaptiveMaxPool2d(1), nn.Conv2d(4, 2, 1)),
    "dropout": lambda: nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 5, 3), nn.Identity(), nn.Dropout2d(0.5)),
    "all together": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.MaxPool2d(3, 2, 1), nn.Dropout(0.5),
        nn.Conv2d(8, 12, 3, padding=1, groups=4), nn.AvgPool2d(2), nn.Conv2d(12, 7, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINEAR)
def test_without_rectifiers_it_is_the_vector_jacobian_product(name: str) -> None:
    torch.manual_seed(0)
    network, image = shaken(LINEAR[name]()), torch.randn(1, 4, 17, 18)
    signal = torch.randn_like(network(image))
    torch.testing.assert_close(back(network, image, signal), transposed(network, image, signal), rtol=1e-5, atol=1e-5)


def test_a_rectifier_keeps_what_is_positive_of_the_signal_not_what_was_positive_forward() -> None:
    torch.manual_seed(0)
    image, signal = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 8, 8)
    assert torch.equal(back(nn.Sequential(nn.ReLU()), image, signal), signal.relu())
    assert not torch.equal(signal.relu(), transposed(nn.ReLU(), image, signal))


@pytest.mark.parametrize("inplace", [False, True])
def test_with_rectifiers_it_is_rectify_then_filter_layer_by_layer(inplace: bool) -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 4, 3, padding=1)
    network = nn.Sequential(first, nn.ReLU(inplace), nn.MaxPool2d(2), second, nn.ReLU(inplace)).eval()
    image = torch.randn(1, 2, 8, 8)
    signal = torch.randn_like(network(image))
    wanted = functional.conv_transpose2d(signal.relu(), second.weight, padding=1)
    _, switches = functional.max_pool2d(first(image).relu(), 2, return_indices=True)
    wanted = functional.max_unpool2d(wanted, switches, 2).relu()
    wanted = functional.conv_transpose2d(wanted, first.weight, padding=1)
    torch.testing.assert_close(back(network, image, signal), wanted, rtol=1e-5, atol=1e-5)


def test_local_response_normalisation_divides_by_what_it_divided_the_image_by() -> None:
    torch.manual_seed(0)
    norm, image = nn.LocalResponseNorm(5, alpha=0.5, beta=0.75, k=2.0), torch.randn(1, 9, 4, 4)
    torch.testing.assert_close(back(nn.Sequential(norm), image, image), norm(image))


def test_a_maximum_that_overlapping_windows_share_gets_the_sum_of_their_signals() -> None:
    image = torch.zeros(1, 1, 5, 5)
    image[0, 0, 2, 2] = 1
    found = back(nn.Sequential(nn.MaxPool2d(3, 2)), image, torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert found[0, 0, 2, 2] == 10
    assert found.count_nonzero() == 1


@pytest.fixture
def detector() -> nn.Module:
    """Two maps, of bright vertical pairs of pixels and of horizontal ones, and the larger of four places each."""
    conv = nn.Conv2d(1, 2, (2, 2), bias=False)
    conv.weight.data = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]], [[[1.0, 1.0], [0.0, 0.0]]]])
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2)).eval()


def test_each_map_s_peak_is_found_and_put_back_where_it_came_from(detector: nn.Module) -> None:
    images = torch.zeros(230, 1, 9, 9)
    images[3, 0, 5, 5] = 1.0
    images[217, 0, 4:6, 6] = 3.0
    images[120, 0, 1, 2:4] = 2.0
    found = find_peaks(detector, "2", images)
    assert found == [Peak(0, 217, 6.0), Peak(1, 120, 4.0)]
    first, second = (project_peak(detector, "2", images[one.image_index : one.image_index + 1], one) for one in found)
    assert (first.map_position, second.map_position) == ((2, 3), (0, 1))
    assert first.pixels.nonzero().tolist() == [[0, 4, 6], [0, 5, 6]]
    assert second.pixels.nonzero().tolist() == [[0, 1, 2], [0, 1, 3]]
    assert set(first.pixels.unique().tolist()) == {0.0, 6.0}


def test_of_all_units_of_a_layer_only_the_strongest_is_projected(detector: nn.Module) -> None:
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 1, 1], image[0, 0, 6, 6] = 1.0, 2.0
    found = project_peak(detector, "1", image, Peak(0, 0, 2.0))
    assert found.pixels.nonzero()[:, 1].min() >= 5
