"""The command line that makes a stored result: as it was typed once, else read off the result's config."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.rebuilt import overrides
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.plan import PlannedPoint
    from convarium.store.store import Store

Json = Mapping[str, Any]
UNSAID = ("runtime", "tracking", "hydra")
DEFAULT_STORE = "outputs/store"


def command(store: "Store", signature: str) -> str | None:
    """Return a command line that asks for exactly this signature, None where there is none any more.

    It was composed again: what an older version of a stage or of a YAML made is asked for by no command.
    """
    done = store.done(signature)
    if done is not None and done["stage"] == "adopt":
        return f"convarium adopt WEIGHTS {_adopted(done)}"
    for line in _candidates(store, signature, done):
        typed = [*line, *([] if str(store.root) == DEFAULT_STORE else [f"runtime.store={store.root}"])]
        if _makes(typed, signature):
            return shlex.join(["convarium", "run", *typed])
    return None


def _candidates(store: "Store", signature: str, done: Json | None) -> Iterator[Sequence[str]]:
    """Yield lines of stored plans that end in the signature, its config's own, then such as pass through it."""
    through: list[Sequence[str]] = []
    for point in _points(store, signature):
        line = [text for text in point.overrides if text.lstrip("+~").split("=")[0].split(".")[0] not in UNSAID]
        if signature in (point.network, *point.ends):
            yield line
        elif not through:
            through.append(line)
    if done is not None:
        rebuilt = overrides(store, done)
        if rebuilt is not None:
            yield rebuilt
    yield from through


def _points(store: "Store", signature: str) -> Iterator["PlannedPoint"]:
    """Yield the points of stored plans that need a signature, of the newest plan first."""
    from convarium.store.plan import Plan

    files = sorted((store.root / "plans").glob("*.json"), key=lambda file: file.lstat().st_mtime, reverse=True)
    for file in files:
        try:
            plan = Plan.read(file) if f'"{signature}"'.encode() in file.read_bytes() else None
        except (UserError, OSError):
            continue  # of another format, or not to be read
        if plan is not None:
            yield from (point for point in plan.points if signature in _needed(plan.nodes, point))


def _needed(nodes: Mapping[str, Any], point: "PlannedPoint") -> set[str]:
    found, left = set(), [point.network, *point.ends]
    while left:
        found.add(signature := left.pop())
        left += [parent for parent in nodes[signature].parents if parent not in found]
    return found


def _makes(line: Sequence[str], signature: str) -> bool:
    from convarium.cli.points import ask
    from convarium.stages.graph import plan

    try:
        return signature in plan(ask(line).accepted()).nodes
    except UserError:
        return False


def _adopted(done: Json) -> str:
    architecture = done["stage_config"]["architecture"]
    if architecture["source"] == "own":
        return f"architecture={architecture['name']}"
    return f"architecture={architecture['source']} architecture.name={architecture['name']}"
