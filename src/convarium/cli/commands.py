"""The sub-commands: what each does, and the module that it is."""

from importlib import import_module
from types import ModuleType

COMMANDS = {
    "run": "train, compress and measure every point that is not stored yet",
    "search": "choose points one after another by what the ones before gave",
    "work": "one more worker for a run that is going on, on this host or another",
    "adopt": "weights from outside as a dense network, measured at once",
    "plan": "what is stored, what would run, and what it would cost",
    "doctor": "what would hinder a run here or on a cluster, and what mends it",
    "status": "how far a sweep is, what runs where, what failed",
    "cancel": "end a run whose workers are a scheduler's jobs",
    "compare": "table, Pareto front and paired statistics of what is stored",
    "measure": "measure a network file",
    "inspect": "a network layer by layer, and what its maps respond to",
    "export": "write a stored network to a file: cvm, ONNX, safetensors, torch.export",
    "verify": "compare such a file with the stored network, loaded as a server would",
    "show": "what is stored at a signature",
    "diff": "how a result differs from its nearest neighbour",
    "options": "what can be chosen and set: defaults, ranges and meanings",
    "ls": "list what is stored",
    "ui": "MLflow's page on what is stored",
    "sync": "make a tracker say what is stored",
    "gc": "remove what no command asks for any more",
    "store": "merge: bring what another store holds",
    "catalogue": "every system of the review: what runs it here, and what came of its check",
}


def import_command(name: str) -> ModuleType:
    """Return the module of a command: `build_parser()` describes its options, `main(argv)` runs it."""
    return import_module(f"convarium.cli.{name}")
