"""The ISO coder's network, and the bytes that its own format takes: a control, not a method."""

from torch import nn

from convarium.compression.deciders.view import Decision, View
from convarium.compression.outside.control import choose
from convarium.tasks.evaluate import evaluate


def nncodec(view: View) -> Decision:
    """Take the coarsest of the coder's settings that loses at most `max_drop` pp of validation accuracy."""
    validation = view.data().validation
    assert validation is not None

    def accuracy(network: nn.Module) -> float:
        return evaluate(network, validation)[0].double().mean().item()

    chosen = choose(view.network, accuracy, max_drop=view.step["max_drop"])
    return Decision(values=chosen.state, outside=chosen.bitstream + chosen.kept)
