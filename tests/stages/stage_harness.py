"""Runs the stages of a command line in this process: the suites' bench, and a command line that trains in a moment."""

from convarium.conformance.stage_harness import SimulatedKill, StageHarness, plan_command_line, plan_command_nodes

__all__ = ["TINY_TRAINING", "SimulatedKill", "StageHarness", "plan_command_line", "plan_command_nodes"]

TINY_TRAINING = (
    "architecture=mlp",
    "dataset=digits",
    "dataset.train_size=200",
    "recipe.epochs=2",
    "architecture.kwargs.hidden=[16]",
)
