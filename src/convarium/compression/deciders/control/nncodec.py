"""The ISO coder's network, and the bytes that its own format takes: a control, not a method."""

from torch import nn

from convarium.compression.deciders.interface import Decision, NetworkView
from convarium.compression.external_coders.iso_control import select_operating_point
from convarium.tasks.evaluate import evaluate_network


def nncodec(view: NetworkView) -> Decision:
    """Take the coarsest of the coder's settings that loses at most `max_drop` pp of validation accuracy."""
    validation = view.load_splits().validation
    assert validation is not None

    def accuracy(network: nn.Module) -> float:
        return evaluate_network(network, validation)[0].double().mean().item()

    chosen = select_operating_point(view.network, accuracy, max_drop=view.step["max_drop"])
    return Decision(values=chosen.state, external_bytes=chosen.bitstream + chosen.uncoded_bytes)
