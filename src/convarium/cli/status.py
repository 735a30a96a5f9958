"""`convarium status [NAME]`: how far a sweep is, what runs where, what failed, seen from outside."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convarium.cli.arguments import Arguments
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.plan import Node, Plan
    from convarium.store.store import Store

Json = dict[str, Any]


def main(argv: Sequence[str]) -> int:
    """Print points done, time left, a line for each stage that runs, and the failures of what is not done.

    Asked for nothing, it tells of all that runs in the store at the moment.
    """
    parser = Arguments(
        "status", "Show how far a sweep, or all that runs, is, what runs where, and what failed.", points=True
    )
    parser.usage = "convarium status [NAME] [key=value ...] [options]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    options = parser.read([f"sweep={text}" if _is_name(text) else text for text in argv])
    from convarium.cli import output
    from convarium.cli.points import ask
    from convarium.cli.stored import store_of, tell_unreadable
    from convarium.stages.graph import plan

    with output.aside():
        asked = ask(options.overrides)
        store = store_of(asked.runtime)
        found = status(plan(asked.points) if asked.chooses else going_on(store.require(to_look=True)), store)
        tell_unreadable(store)
    if options.json:
        output.document(found)
    elif not found["points"]:
        print(f"nothing runs in {store.root}")
    else:
        _show(found)
    return 0


def going_on(store: "Store") -> "Plan":
    """Return what all runs in the store ask for together that are going on, as far as their plans can be read."""
    from convarium.store.disk import told
    from convarium.store.plan import Plan
    from convarium.store.run_file import living, planned

    found = []
    for folder, run in living(store):
        try:
            found.append(planned(folder, run))
        except (UserError, OSError) as error:
            print(f"convarium: {told(error)}; what this run asks for is not known", file=sys.stderr)
    nodes = {signature: node for one in found for signature, node in one.nodes.items()}
    points = {(point.network, *point.ends): point for one in found for point in one.points}
    return Plan(nodes, tuple(points.values()))


def _is_name(text: str) -> bool:
    return "=" not in text and not text.startswith(("-", "~"))


def status(plan: "Plan", store: "Store") -> Json:
    """Return points, points done, stages left, seconds left (of as many workers as run now), running and failed."""
    from convarium.store.estimate import estimated_seconds
    from convarium.store.schedule import Schedule

    survey = Schedule(plan).survey(store, "")
    done, needed = survey.done, plan.needed(survey.done)
    open_ones = needed - survey.blocked - survey.failed.keys()
    missing = [node for signature, node in plan.nodes.items() if signature in open_ones]
    running = [told for node in missing if (told := _running(node, store))]
    seconds = estimated_seconds(plan, store, missing, max(1, len(running)))
    return {
        "points": len(plan.points),
        "done": sum(done.issuperset(point.ends) for point in plan.points),
        "stages_left": len(missing),
        "seconds_left": round(max(0.0, seconds - sum(one["seconds"] for one in running) / max(1, len(running)))),
        "running": running,
        "failed": sorted(
            (told for key, node in plan.nodes.items() if key in needed and (told := _failed(node, store))),
            key=lambda one: one["ended"],
        ),
    }


def _running(node: "Node", store: "Store") -> Json | None:
    """What a stage that has a living owner does; of an owner on another host its lease's last beat has to do."""
    from convarium.store import curves
    from convarium.store.lease import Leases

    folder = store.folder(node)
    claim = Leases("").look(folder)
    if claim is None or claim.state != "alive":
        return None
    lease, work = folder / f"lease.{claim.number}", folder / f"work.{claim.number}"
    report = curves.last(folder / "curves.jsonl")
    told = {key: report.get(key) for key in ("phase", "epoch", "epochs", "loss", "validation_accuracy")}
    return {
        "signature": node.signature,
        "stage": node.stage,
        "name": node.name,
        "host": claim.host,
        "pid": claim.pid,
        "seconds": _age(work),
        "beat_seconds_ago": _age(lease),
        **told,
    }


def _age(path: Path) -> int:
    try:
        return round(max(0.0, time.time() - path.stat().st_mtime))
    except OSError:
        return 0


def _failed(node: "Node", store: "Store") -> Json | None:
    record = store.failed(node.signature)
    named = {"signature": node.signature, "stage": node.stage, "name": node.name}
    told = {"ended": record.get("ended", ""), "host": record.get("host")} if record else {}
    return record and {**named, "kind": record.get("kind"), "error": record["error"], **told}


def _show(found: Json) -> None:
    from rich.table import Column, Table

    from convarium import columns
    from convarium.cli import output
    from convarium.store.lease import PATIENCE_SECONDS
    from convarium.store.progress import REPORTED, duration, figures

    console = output.console()
    stages, seconds = found["stages_left"], duration(found["seconds_left"])
    left = f", {stages} stages left, about {seconds}" if stages else ""
    console.print(f"{found['done']} of {found['points']} points done{left}")
    name, told = (Column(name, overflow="fold") for name in ("name", "figures"))
    table = Table("running", name, "phase", "epoch", told, "since", "where", box=None)
    for one in found["running"]:
        epoch = f"{one['epoch']}/{one['epochs']}" if one["epoch"] is not None else ""
        silent = one["beat_seconds_ago"] > PATIENCE_SECONDS
        where = f"{one['host']} {one['pid']}{', silent' if silent else ''}"
        reported, since = figures(one, REPORTED), duration(one["seconds"])
        table.add_row(one["stage"], one["name"], one["phase"] or "", epoch, reported, since, where)
    if found["running"]:
        columns.show(console, table, ("epoch", "since", "running", "figures", "phase", "where"))
    for one in found["failed"]:
        console.print(
            f"{(one['kind'] or 'failed').replace('_', ' ')}: {one['stage']} {one['name']}: {one['error']}{_when(one)}",
            markup=False,
            soft_wrap=True,
        )


def _when(one: Json) -> str:
    return f" ({one['ended']} on {one['host']})" if one["ended"] else ""
