"""Runs the stages of a command line in this process: the suites' bench, and a command line that trains in a moment."""

from convarium.conformance.bench import Bench, Killed, nodes, planned

__all__ = ["TINY", "Bench", "Killed", "nodes", "planned"]

TINY = (
    "architecture=mlp",
    "dataset=digits",
    "dataset.train_size=200",
    "recipe.epochs=2",
    "architecture.kwargs.hidden=[16]",
)
