"""The network that the ISO coder decodes, at the size of the coder's own format: a control, not a method."""

from torch import nn

from convarium.compression.deciders.interface import Decision, NetworkView
from convarium.compression.external_coders.iso_control import select_operating_point
from convarium.tasks.evaluate import evaluate_network


def nncodec(view: NetworkView) -> Decision:
    """Code the network in the fewest bytes that lose at most `max_drop` pp of validation accuracy."""
    validation = view.load_splits().validation
    assert validation is not None

    def measure_accuracy(network: nn.Module) -> float:
        is_correct, _ = evaluate_network(network, validation)
        return is_correct.double().mean().item()

    point = select_operating_point(view.network, measure_accuracy, max_drop=view.step["max_drop"])
    return Decision(values=point.state, external_bytes=point.bitstream + point.uncoded_bytes)
