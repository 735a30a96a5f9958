"""CondenseNet: what it drops and when, that its two forms are one function, that it is the paper's network."""

from typing import Any

import pytest
import torch
from torch import nn

from architectures.copied_weights import measure_difference
from architectures.descriptions import (
    can_memorise,
    count_parameters_and_macs,
    count_row,
    describe_own,
    find_parameters_without_gradient,
    uses_counts_of_rows,
)
from convarium.architectures import factory
from convarium.architectures.blocks.learned_groups import Connections, SelectedGroupConv, SelectedLinear
from convarium.architectures.condensing import Condensing
from convarium.architectures.dry_run import dry_run_architecture
from convarium.errors import UserError

CIFAR: dict[str, Any] = {"side": 32, "classes": 10}
SMALL: dict[str, Any] = {"side": 8, "classes": 10, "kwargs": {"depths": [2, 2], "growths": [8, 8], "lasso": 0.01}}
SELECTED = (SelectedGroupConv, SelectedLinear)


@pytest.fixture
def trained() -> Any:
    """A small network that has seen images, so that no statistic is what it begins with."""
    torch.manual_seed(0)
    network = factory.build_architecture(describe_own("condensenet_cifar", **SMALL)).train()
    for _ in range(3):
        network(torch.randn(16, 3, 8, 8))
    return network


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("name", "row", "dense", "delivered"),
    [
        ("condensenet_cifar", "condensenet86_cifar", (1_451_594, 173_858_624), (516_202, 62_377_888)),
        ("condensenet_cifar_182", "condensenet182_cifar", (13_792_906, 1_615_332_192), (4_209_226, 493_916_592)),
        ("condensenet_74", "condensenet74_c4", (11_922_680, 1_267_904_128), (4_773_944, 516_640_576)),
        ("condensenet_74_g8", "condensenet74_c8", (11_103_608, 1_137_847_936), (2_935_416, 261_545_792)),
    ],
)
def test_what_is_delivered_has_the_size_of_the_paper_s(
    name: str, row: str, dense: tuple[int, int], delivered: tuple[int, int]
) -> None:
    found = count_row(row)
    assert count_parameters_and_macs(describe_own(name, **(CIFAR if "cifar" in name else {}))) == dense
    assert (found.parameters, found.macs) == delivered


@uses_counts_of_rows
@pytest.mark.parametrize(
    ("name", "row", "published"),
    [
        ("condensenet_cifar", "condensenet86_cifar", 65.8),
        ("condensenet_cifar_182", "condensenet182_cifar", 513),
        ("condensenet_74", "condensenet74_c4", 529),
        ("condensenet_74_g8", "condensenet74_c8", 274),
    ],
)
def test_with_normalisation_and_pooling_as_work_it_is_the_paper_s_figure(name: str, row: str, published: float) -> None:
    described = factory.condense_architecture(describe_own(name, **(CIFAR if "cifar" in name else {})))
    network, elements = factory.build_architecture(described, "meta").eval(), 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal elements
        elements += inputs[0].numel()

    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.AvgPool2d | nn.AdaptiveAvgPool2d):
            module.register_forward_pre_hook(count)
    network(torch.empty(1, 3, described["img_size"], described["img_size"], device="meta"))
    assert (count_row(row).macs + elements) / 1e6 == pytest.approx(published, rel=2e-3)


def test_it_is_pytorchcv_s() -> None:
    witness = pytest.importorskip("pytorchcv.models.condensenet").condensenet74_c4_g4(num_classes=10)
    ours = factory.build_architecture(factory.condense_architecture(describe_own("condensenet_74", classes=10)))
    torch.manual_seed(0)
    mine = [module for module in ours.modules() if isinstance(module, SELECTED)]
    theirs = [module for module in witness.modules() if "index" in module._buffers]
    for one, other in zip(mine, theirs, strict=True):
        assert one.index.shape == other.index.shape
        one.index.copy_(torch.randint(len(one.index), one.index.shape))
        other.index.copy_(one.index)
    assert measure_difference(ours, witness, torch.randn(1, 3, 224, 224)) < 1e-5


def test_masked_and_delivered_give_the_same(trained: Any) -> None:
    for progress in (0.0, 0.2, 0.4, 0.6):
        trained.drop_due_connections(progress)
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        masked, grouped = trained.eval()(images), trained.build_condensed()(images)
    assert (masked - grouped).abs().max() <= 1e-6 * masked.abs().max()
    assert not isinstance(trained.build_condensed(), Condensing)


def test_what_was_dropped_still_counts_for_nothing_after_training_goes_on(trained: Any) -> None:
    trained.drop_due_connections(1.0)
    optimizer = torch.optim.SGD(trained.parameters(), 0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        loss = trained(torch.randn(8, 3, 8, 8)).square().sum() + trained.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        masked, grouped = trained.eval()(images), trained.build_condensed()(images)
    torch.testing.assert_close(grouped, masked, rtol=1e-5, atol=1e-6)


def test_connections_go_at_evenly_spaced_moments_of_the_first_half() -> None:
    connections, weight = Connections(2, 16, 4), torch.randn(8, 16, 1, 1)
    left = []
    for step in range(13):
        connections.drop_due_connections(weight, step / 12)
        left.append(connections.kept.sum(1).tolist())
        assert connections.is_condensed == (step >= 6)
    assert [step for step in range(1, 13) if left[step] != left[step - 1]] == [2, 4, 6]
    assert [left[0], left[2], left[4], left[6]] == [[16, 16], [12, 12], [8, 8], [4, 4]]


def test_a_group_loses_the_inputs_of_least_summed_magnitude() -> None:
    connections, weight = Connections(2, 4, 4), torch.ones(4, 4, 1, 1)
    weight[0::2, :, 0, 0] *= torch.tensor([0.1, -3.0, 2.0, 1.0])  # filters 0 and 2 are the first group
    weight[1::2, :, 0, 0] *= torch.tensor([4.0, 3.0, -0.2, 0.1])
    found = []
    for progress in (1 / 6, 1 / 3, 1 / 2):
        connections.drop_due_connections(weight, progress)
        found.append([row.nonzero().flatten().tolist() for row in connections.kept])
    assert found == [[[1, 2, 3], [0, 1, 2]], [[1, 2], [0, 1]], [[1], [0]]]
    assert connections(weight).flatten(1).count_nonzero(1).tolist() == [1, 1, 1, 1]


def test_what_is_dropped_stays_dropped_however_its_weights_look_later() -> None:
    connections = Connections(1, 4, 4)
    connections.drop_due_connections(torch.tensor([[0.1, 1.0, 2.0, 3.0]]), 1 / 6)
    connections.drop_due_connections(torch.tensor([[9.0, 1.0, 2.0, 3.0]]), 1 / 3)
    assert connections.kept.tolist() == [[False, False, True, True]]


@pytest.mark.parametrize("inputs", [16, 17, 6])
@pytest.mark.parametrize("condensation", [1, 2, 3, 4, 6])
def test_one_of_so_many_inputs_is_left(inputs: int, condensation: int) -> None:
    connections = Connections(2, inputs, condensation)
    connections.drop_due_connections(torch.randn(4, inputs), 1.0)
    assert connections.kept.sum(1).tolist() == [inputs // condensation] * 2


def test_it_goes_on_from_its_state_dict_as_if_it_had_never_stopped(trained: Any) -> None:
    trained.drop_due_connections(0.2)
    again = factory.build_architecture(describe_own("condensenet_cifar", **SMALL))
    again.load_state_dict(trained.state_dict())
    for network in (trained, again):
        network.drop_due_connections(0.2)
        network.drop_due_connections(0.4)
    assert all(torch.equal(one, other) for one, other in zip(trained.buffers(), again.buffers(), strict=True))


def test_the_penalty_is_the_group_lasso_until_all_is_dropped() -> None:
    connections, weight = Connections(2, 4, 2), torch.randn(6, 4, 1, 1)
    columns = [weight[group::2, column].norm() for group in range(2) for column in range(4)]
    torch.testing.assert_close(connections.compute_group_lasso(weight), torch.stack(columns).sum())
    connections.drop_due_connections(weight, 0.5)
    assert connections.compute_group_lasso(weight) == 0


def test_the_penalty_is_of_the_1x1_convolutions_times_its_factor(trained: Any) -> None:
    sums = [
        layer.connections.compute_group_lasso(layer.conv.weight)
        for layer in trained.modules()
        if hasattr(layer, "connections") and hasattr(layer, "conv")
    ]
    assert len(sums) == 4
    torch.testing.assert_close(trained.penalty(), 0.01 * sum(sums))


def test_every_group_of_the_3x3_convolution_sees_filters_of_all_groups() -> None:
    layer = SelectedGroupConv(8, 8, 2, 2, 0.0).eval()
    with torch.no_grad():
        layer.conv.weight[4:] = 0  # the second group gives nothing
        outputs = layer(torch.rand(1, 8, 1, 1) + 1).flatten()
    assert outputs[1::2].eq(0).all()
    assert outputs[0::2].ne(0).all()


@pytest.mark.parametrize("form", ["learned", "grouped"])
@pytest.mark.parametrize(
    "kwargs", [{}, {"groups": 2}, {"groups": 8, "condensation": 2}, {"condensation": 1}, {"condensation": 5}]
)
def test_every_parameter_gets_a_gradient(form: str, kwargs: dict[str, int]) -> None:
    described = describe_own("condensenet_cifar", 3, 8, 10, kwargs={**SMALL["kwargs"], **kwargs, "form": form})
    assert find_parameters_without_gradient(described) == []


@pytest.mark.parametrize("form", ["learned", "grouped"])
def test_eight_images_are_memorised(form: str) -> None:
    assert can_memorise(describe_own("condensenet_cifar", 3, 8, 10, kwargs={**SMALL["kwargs"], "form": form}), lr=1e-2)


def test_other_groups_and_condensations_deliver_the_same_function() -> None:
    for kwargs in ({"groups": 2}, {"groups": 8, "condensation": 2}, {"condensation": 5}, {"condensation": 1}):
        torch.manual_seed(0)
        network: Any = factory.build_architecture(
            describe_own("condensenet_cifar", 3, 8, 10, kwargs={**SMALL["kwargs"], **kwargs})
        ).eval()
        grouped = network.build_condensed()
        with torch.no_grad():
            images = torch.randn(2, 3, 8, 8)
            torch.testing.assert_close(grouped(images), network(images), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "side", "least"), [("condensenet_cifar", 3, 4), ("condensenet_74", 30, 31), ("condensenet_74_g8", 30, 31)]
)
def test_images_too_small_are_refused_with_the_least_size(name: str, side: int, least: int) -> None:
    with pytest.raises(UserError, match=f"at least {least} pixels a side"):
        factory.build_architecture(describe_own(name, side=side), "meta")
    dry_run_architecture(describe_own(name, side=least))


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"growths": [8, 8]}, "needs one for each of its 3 depths, there are 2"),
        ({"growths": [8, 8, 6]}, "6 is not a multiple of architecture.kwargs.groups=4"),
        ({"condensation": 17}, "condensation=17: condensenet_cifar has layers of 16 inputs"),
        ({"form": "dense"}, "expected one of learned, grouped"),
        ({"lasso": -1}, "lasso=-1"),
    ],
)
def test_bad_kwargs_are_refused_in_one_line(kwargs: dict[str, Any], said: str) -> None:
    for form in (factory.condense_architecture, dict):
        described = form(describe_own("condensenet_cifar", **CIFAR, kwargs=kwargs))
        if described["kwargs"].get("form") != "grouped" or "form" not in kwargs:
            with pytest.raises(UserError, match=said):
                factory.build_architecture(described, "meta")
