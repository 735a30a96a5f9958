"""The control from scratch: narrower, with fresh weights of the right size."""

import torch

from compression.deciders.structural_views import LENET, build_seeded, describe_architecture, make_network_view
from convarium.compression import decisions
from convarium.compression.deciders.control.small_dense import small_dense

STEP = {"method": "control/small_dense", "channels_removed": 0.5}


def test_every_tensor_is_new_and_a_seed_gives_the_same_ones() -> None:
    trained = build_seeded(LENET, seed=5)
    one = small_dense(make_network_view(trained, LENET, **STEP))
    again = small_dense(make_network_view(build_seeded(LENET, seed=6), LENET, **STEP))
    other = small_dense(make_network_view(trained, LENET, seed=1, **STEP))
    assert set(one.values) == set(dict(trained.named_parameters()))
    assert all(torch.equal(one.values[name], again.values[name]) for name in one.values)
    assert not torch.equal(one.values["conv1.weight"], other.values["conv1.weight"])


def test_each_layer_passes_on_the_variance_of_the_full_one() -> None:
    network = build_seeded(LENET)
    decisions.apply_decision(network, small_dense(make_network_view(network, LENET, **STEP)))
    assert network.get_parameter("fc1.weight").shape == (250, 400)
    limit = 1 / 400**0.5
    assert 0.98 * limit < network.get_parameter("fc1.weight").abs().max() <= limit * 1.0001


def test_norms_start_as_they_do_in_a_new_network() -> None:
    resnet = describe_architecture("resnet20", size=16, channels=3)
    network = build_seeded(resnet)
    decisions.apply_decision(network, small_dense(make_network_view(network, resnet, **STEP)))
    buffers = {name: value for name, value in network.named_buffers() if name.endswith("running_var")}
    assert all(torch.equal(value, torch.ones(len(value))) for value in buffers.values())
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 10)


def test_nothing_less_is_the_full_network_from_scratch() -> None:
    decision = small_dense(make_network_view(build_seeded(LENET), LENET, **{**STEP, "channels_removed": 0.0}))
    assert not decision.edits
    assert torch.equal(decision.values["fc1.weight"], build_seeded(LENET, seed=0).get_parameter("fc1.weight"))
