"""The command line that makes a stored result: as it was once typed, else rebuilt from the result's config."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.compose.result_overrides import rebuild_overrides
from convarium.config.override import Override
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.planning.plan import PlannedPoint
    from convarium.store.store import Store

Json = Mapping[str, Any]
OMITTED_GROUPS = ("runtime", "tracking", "hydra")
DEFAULT_STORE_FOLDER = "outputs/store"


def find_result_command(store: "Store", signature: str) -> str | None:
    """Return a command line that asks for exactly this signature, None where there is none any more.

    For the score of a search's trial it is the line of the trial's point, which makes the same network and measures it.
    Each candidate is composed again: no command asks for what an older version of a stage or of a YAML made.
    """
    record = store.find_record(signature)
    if record is not None and record["stage"] == "adopt":
        return f"convarium adopt WEIGHTS {_format_adopted_architecture(record)}"
    store_overrides = [] if str(store.root) == DEFAULT_STORE_FOLDER else [f"runtime.store={store.root}"]
    for line in _iterate_candidate_lines(store, signature, record):
        arguments = [*line, *store_overrides]
        if _is_planned_by(arguments, signature):
            return shlex.join(["convarium", "run", *arguments])
    return None


def _iterate_candidate_lines(store: "Store", signature: str, record: Json | None) -> Iterator[Sequence[str]]:
    """Yield lines of stored plans that end in the signature, one from its config, then one that passes through it."""
    passing_lines: list[Sequence[str]] = []
    for point in _iterate_planned_points(store, signature):
        line = [text for text in point.overrides if Override(text).group not in OMITTED_GROUPS]
        if signature in (point.network, *point.figure_signatures):
            yield line
        elif not passing_lines:
            passing_lines.append(line)
    if record is not None:
        rebuilt = rebuild_overrides(store, record)
        if rebuilt is not None:
            yield rebuilt
    yield from passing_lines


def _iterate_planned_points(store: "Store", signature: str) -> Iterator["PlannedPoint"]:
    """Yield the points of stored plans that need a signature, of the newest plan first."""
    from convarium.planning.plan_file import has_node, list_plan_files, read_plan

    files = sorted(list_plan_files(store.root), key=lambda file: file.lstat().st_mtime, reverse=True)
    for file in files:
        try:
            # Most plans don't hold the signature, and to search a text is much faster than to parse it.
            plan = read_plan(file) if has_node(file, signature) else None
        except (UserError, OSError):
            continue  # of another format, or not to be read
        if plan is not None:
            for point in plan.points:
                if signature in _find_needed_signatures(plan.nodes, point):
                    yield point


def _find_needed_signatures(nodes: Mapping[str, Any], point: "PlannedPoint") -> set[str]:
    needed: set[str] = set()
    pending = [point.network, *point.figure_signatures]
    while pending:
        signature = pending.pop()
        needed.add(signature)
        pending += [parent for parent in nodes[signature].parents if parent not in needed]
    return needed


def _is_planned_by(line: Sequence[str], signature: str) -> bool:
    from convarium.compose.points import compose_points
    from convarium.planning.stage_graph import build_plan, build_trial_plan

    try:
        points = compose_points(line).check_points()
        return signature in build_plan(points).nodes or signature in build_trial_plan(points).nodes
    except UserError:
        return False


def _format_adopted_architecture(record: Json) -> str:
    architecture = record["stage_config"]["architecture"]
    if architecture["source"] == "own":
        return f"architecture={architecture['name']}"
    return f"architecture={architecture['source']} architecture.name={architecture['name']}"
