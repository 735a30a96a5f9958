"""The layers of section 2: their formulas, the identities that only the right ones satisfy, their gradients."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from convarium.architectures.blocks import activations, convolutions, norms, pooling
from convarium.architectures.blocks.deformable import Deformable
from convarium.architectures.blocks.dropout import DropConnectConv2d, DropConnectLinear, build_dropout, build_linear
from convarium.architectures.blocks.layers import LayerChoice
from convarium.cost.macs import count_macs

FORMULAS = {
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "hard_sigmoid": lambda x: ((x + 3) / 6).clamp(0, 1),
    "tanh": lambda x: 2 / (1 + torch.exp(-2 * x)) - 1,
    "hard_tanh": lambda x: x.clamp(-1, 1),
    "softsign": lambda x: x / (1 + x.abs()),
    "softplus": lambda x: torch.log(1 + torch.exp(x)),
    "relu": lambda x: x.clamp(min=0),
    "relu6": lambda x: x.clamp(0, 6),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "prelu": lambda x: torch.where(x > 0, x, 0.25 * x),
    "rrelu": lambda x: torch.where(x > 0, x, (1 / 8 + 1 / 3) / 2 * x),  # evaluation: the mean slope
    "elu": lambda x: torch.where(x > 0, x, torch.exp(x) - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x > 0, x, 1.6732632423543772 * (torch.exp(x) - 1)),
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "swish": lambda x: x / (1 + torch.exp(-x)),
    "hard_swish": lambda x: x * ((x + 3) / 6).clamp(0, 1),
    "mish": lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))),
    "maxout": lambda x: torch.maximum(x[:, :4], x[:, 4:]),
}


@pytest.mark.parametrize("name", activations.ACTIVATION_NAMES)
def test_an_activation_is_its_formula_and_keeps_the_channels(name: str) -> None:
    for shape in ((3,), ()):
        x = 3 * torch.randn(5, 4 * activations.count_pieces(name), *shape, *shape)
        answer = activations.build_activation(name, 4).eval()(x)
        assert answer.shape == (5, 4, *shape, *shape)
        torch.testing.assert_close(answer, FORMULAS[name](x), rtol=1e-5, atol=1e-6)


def test_rrelu_draws_its_slopes_in_training_only() -> None:
    x = -torch.rand(4, 50)
    slopes = activations.build_activation("rrelu", 50)(x) / x
    assert slopes.min() >= 1 / 8 - 1e-6
    assert slopes.max() <= 1 / 3 + 1e-6
    assert slopes.std() > 0.01


def test_swish_learns_beta_a_channel() -> None:
    swish, x = activations.Swish(4), torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(swish(x), nn.SiLU()(x))
    with torch.no_grad():
        swish.beta.copy_(torch.tensor([0.0, 1.0, 2.0, 100.0]))
    answer = swish(x)
    torch.testing.assert_close(answer[:, 0], x[:, 0] / 2)
    torch.testing.assert_close(answer[:, 3], x[:, 3].relu(), atol=1e-2, rtol=0)
    answer.sum().backward()
    assert swish.beta.grad is not None
    assert swish.beta.grad.count_nonzero() == 3 + (swish.beta.grad[3] != 0).int()


def test_maxout_of_equal_pieces_is_the_plain_convolution() -> None:
    plain, x = nn.Conv2d(3, 5, 3), torch.randn(2, 3, 8, 8)
    double = nn.Conv2d(3, 10, 3)
    with torch.no_grad():
        double.weight.copy_(torch.cat([plain.weight] * 2))
        double.bias.copy_(torch.cat([plain.bias] * 2))
    torch.testing.assert_close(activations.Maxout()(double(x)), plain(x))


def test_the_identity_added_to_every_piece_is_added_to_the_maximum() -> None:
    x, identity = torch.randn(2, 8, 3, 3), torch.randn(2, 4, 3, 3)
    added = activations.Maxout()(x + activations.repeat_for_pieces(identity, "maxout"))
    torch.testing.assert_close(added, activations.Maxout()(x) + identity)
    assert activations.repeat_for_pieces(identity, "relu") is identity


def test_local_response_normalisation_is_the_paper_s_formula() -> None:
    x = 5 * torch.randn(2, 9, 3, 3)
    expected = torch.empty_like(x)
    for channel in range(9):
        near = x[:, max(0, channel - 2) : min(8, channel + 2) + 1]
        expected[:, channel] = x[:, channel] / (2 + 1e-4 * near.square().sum(1)) ** 0.75
    torch.testing.assert_close(norms.build_norm("local_response", 9)(x), expected)


def test_layer_and_group_normalisation_are_of_one_image() -> None:
    x = torch.randn(3, 64, 4, 4) * 4 + 2
    layered = norms.build_norm("layer", 64)(x)
    torch.testing.assert_close(layered.flatten(1).mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(layered.flatten(1).std(1, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    grouped = norms.build_norm("group", 64)(x).reshape(3, 32, -1)
    torch.testing.assert_close(grouped.mean(2), torch.zeros(3, 32), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 1), (16, 8), (17, 1), (64, 32), (256, 32), (96, 32)])
def test_group_normalisation_divides_any_number_of_channels(channels: int, groups: int) -> None:
    group = norms.build_norm("group", channels)
    assert isinstance(group, nn.GroupNorm)
    assert group.num_groups == groups


@pytest.mark.parametrize("name", norms.NORM_NAMES)
def test_a_normalisation_keeps_the_shape(name: str) -> None:
    x = torch.randn(2, 6, 4, 4)
    assert norms.build_norm(name, 6)(x).shape == x.shape
    assert norms.has_shift(name) == any(key == "bias" for key, _ in norms.build_norm(name, 6).named_parameters())


@pytest.mark.parametrize("name", pooling.POOLING_NAMES)
@pytest.mark.parametrize(("kernel", "stride", "side"), [(2, None, 4), (3, 2, 3), (4, 4, 2)])
def test_a_window_pooling_gives_a_number_a_window(name: str, kernel: int, stride: int | None, side: int) -> None:
    layer, x = pooling.build_pool(name, 5, kernel, stride), torch.randn(2, 5, 8, 8)
    for mode in (True, False):
        assert layer.train(mode)(x).shape == (2, 5, side, side)


def expected_of(window: Tensor) -> Tensor:
    weights = window.relu()
    return (weights * window).sum() / weights.sum() if weights.any() else window.mean()


def test_stochastic_pooling_evaluates_to_the_mean_weighted_by_probability() -> None:
    layer, x = pooling.StochasticPool2d(3, 2).eval(), torch.randn(2, 3, 7, 7)
    x[0, 0] = -x[0, 0].abs()
    answer = layer(x)
    for image, channel, row, column in ((0, 0, 1, 2), (1, 2, 0, 0), (0, 1, 2, 2)):
        window = x[image, channel, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        torch.testing.assert_close(answer[image, channel, row, column], expected_of(window))


@pytest.mark.parametrize("kernel", [2, 0])
def test_stochastic_pooling_draws_values_whose_mean_is_what_it_evaluates_to(kernel: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 2, 4, 4).relu() + torch.tensor([0.0, 0.1]).reshape(1, 2, 1, 1)
    layer = pooling.StochasticPool2d(kernel)
    draws = layer(x.expand(4000, -1, -1, -1))
    assert torch.isin(draws, x).all()
    torch.testing.assert_close(draws.mean(0), layer.eval()(x)[0], atol=0.06, rtol=0)


def test_stochastic_pooling_draws_in_proportion_to_the_activation() -> None:
    torch.manual_seed(0)
    x = torch.tensor([[1.0, 2.0], [0.0, 5.0]]).expand(8000, 1, 2, 2)
    draws = pooling.StochasticPool2d(2)(x).flatten()
    shares = torch.stack([(draws == value).float().mean() for value in (0.0, 1.0, 2.0, 5.0)])
    torch.testing.assert_close(shares, torch.tensor([0.0, 0.125, 0.25, 0.625]), atol=0.02, rtol=0)


def test_stochastic_pooling_of_zeros_is_uniform_and_finite() -> None:
    layer, x = pooling.StochasticPool2d(2), torch.zeros(2, 3, 4, 4, requires_grad=True)
    for mode in (True, False):
        answer = layer.train(mode)(x)
        (gradient,) = torch.autograd.grad(answer.sum(), x)
        assert answer.count_nonzero() == 0
        assert gradient.isfinite().all()


def test_trainable_subsampling_has_two_numbers_a_channel_and_begins_as_the_mean() -> None:
    x = torch.randn(2, 6, 8, 8)
    for layer, mean in (
        (pooling.build_pool("trainable", 6), nn.AvgPool2d(2)),
        (pooling.build_global_pool("trainable", 6), nn.AdaptiveAvgPool2d(1)),
    ):
        assert sum(parameter.numel() for parameter in layer.parameters()) == 12
        torch.testing.assert_close(layer(x), mean(x))
        with torch.no_grad():
            layer.weight.mul_(2)
            layer.bias.add_(1)
        torch.testing.assert_close(layer(x), 2 * mean(x) + 1)


def test_a_spatial_pyramid_has_21_bins_a_channel_at_any_size() -> None:
    layer = pooling.build_global_pool("spatial_pyramid", 7)
    for height, width in ((1, 1), (3, 5), (4, 4), (13, 9)):
        x = torch.randn(2, 7, height, width)
        assert layer(x).shape == (2, 147)
        torch.testing.assert_close(layer(x)[:, -7:], x.amax((2, 3)))
    doubled = torch.randn(1, 7, 4, 4)
    torch.testing.assert_close(layer(doubled), layer(doubled.repeat_interleave(2, 2).repeat_interleave(2, 3)))


@pytest.mark.parametrize("name", pooling.GLOBAL_POOLING_NAMES)
def test_a_global_pooling_gives_the_features_it_says(name: str) -> None:
    layer = pooling.build_global_pool(name, 5)
    for mode in (True, False):
        assert layer.train(mode)(torch.randn(2, 5, 6, 6)).flatten(1).shape == (2, pooling.count_features(name, 5))


def test_dropconnect_drops_weights_in_training_and_keeps_their_mean() -> None:
    torch.manual_seed(0)
    layers: tuple[tuple[nn.Module, Tensor], ...] = (
        (DropConnectLinear(20, 3, 0.5), torch.randn(4, 20)),
        (DropConnectConv2d(2, 3, 3, 0.5, stride=2, padding=1), torch.randn(4, 2, 6, 6)),
    )
    for layer, x in layers:
        evaluated = layer.eval()(x)
        layer.train()
        assert not torch.equal(layer(x), layer(x))
        mean = torch.stack([layer(x) for _ in range(3000)]).mean(0)
        torch.testing.assert_close(mean, evaluated, atol=0.12, rtol=0)
        plain = (
            functional.linear(x, layer.weight, layer.bias)
            if x.dim() == 2
            else layer._conv_forward(x, layer.weight, layer.bias)
        )
        assert torch.equal(evaluated, plain)


def test_dropconnect_s_images_of_a_batch_share_the_mask() -> None:
    layer = DropConnectLinear(20, 3, 0.5)
    one, other = layer(torch.ones(2, 20))
    assert torch.equal(one, other)


def test_no_rate_no_layer_and_no_random_number() -> None:
    assert isinstance(build_dropout(0.0), nn.Identity)
    assert isinstance(build_dropout(0.3), nn.Dropout)
    assert type(build_linear(3, 2)) is nn.Linear
    assert isinstance(build_linear(3, 2, 0.5), DropConnectLinear)


@pytest.mark.parametrize("name", convolutions.CONVOLUTION_NAMES)
@pytest.mark.parametrize(("kernel", "stride", "groups"), [(3, 1, 1), (3, 2, 2), (1, 1, 1), (5, 1, 1)])
def test_a_convolution_halves_the_map_at_most(name: str, kernel: int, stride: int, groups: int) -> None:
    layer = convolutions.build_convolution(name, 4, 6, kernel, stride, groups)
    answer = layer(torch.randn(2, 4, 7, 7))
    assert answer.shape == (2, 6, math.ceil(7 / stride), math.ceil(7 / stride))
    gradients = torch.autograd.grad(answer.square().sum(), list(layer.parameters()), allow_unused=True)
    assert all(gradient is not None for gradient in gradients)
    assert type(convolutions.build_convolution(name, 4, 6, 1)) is nn.Conv2d


def test_a_deformable_convolution_without_offsets_is_the_plain_one() -> None:
    layer, x = Deformable(4, 6, 3, 2, 2, True), torch.randn(2, 4, 9, 9)
    plain = functional.conv2d(x, layer.conv.weight, layer.conv.bias, 2, 1, groups=2)
    torch.testing.assert_close(layer(x), plain)
    with torch.no_grad():
        layer.offset.bias.fill_(1.0)
    moved = functional.conv2d(functional.pad(x, (0, 1, 0, 1)), layer.conv.weight, layer.conv.bias, 2, groups=2)
    torch.testing.assert_close(layer(x)[:, :, :3, :3], moved[:, :, :3, :3])


def test_the_macs_of_a_deformable_convolution_are_counted() -> None:
    side, weights = 8, 6 * 4 * 9 + 18 * 4 * 9
    assert count_macs(Deformable(4, 6, 3, 1, 1, False), (4, side, side)) == weights * side * side


def test_a_dilated_convolution_sees_5x5_pixels() -> None:
    x = torch.zeros(1, 1, 9, 9, requires_grad=True)
    (seen,) = torch.autograd.grad(convolutions.build_convolution("dilated", 1, 1, 3)(x)[0, 0, 4, 4], x)
    places = seen[0, 0].nonzero()
    assert places.min(0).values.tolist() == [2, 2]
    assert places.max(0).values.tolist() == [6, 6]
    assert len(places) == 9


def test_a_convolution_has_a_bias_where_its_normalisation_shifts_nothing() -> None:
    for name in norms.NORM_NAMES:
        layer = LayerChoice(norm=name).conv(3, 4)
        assert isinstance(layer, nn.Conv2d)
        assert (layer.bias is not None) == (name in ("none", "local_response"))
    doubled = LayerChoice(activation="maxout").conv(3, 4)
    assert isinstance(doubled, nn.Conv2d)
    assert doubled.out_channels == 8
