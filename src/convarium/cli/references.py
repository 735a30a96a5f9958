"""References: a step that needs another network (a teacher) names it, and gets it as a parent.

A method's YAML lists such knobs under `_references_`; each holds the fields `signature`, `architecture`, `recipe` and
`seed`, null by default. Either the signature of a stored network is given, or what differs from the asking command:
the rest is laid under it, without compression, and the network is trained in the same sweep if it is not stored.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.cli.options import option
from convarium.config import places
from convarium.config.point import Reference
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]


def references(
    overrides: Sequence[str], config: Json, default: Mapping[str, Any], compose: Callable[[tuple[str, ...]], Json]
) -> tuple[Reference, ...]:
    """Return the references of all steps of a point.

    Args:
        overrides: what the point was composed from.
        default: the same composition before any value was set.
        compose: makes a checked config of overrides.

    Raises:
        UserError: a reference is left open, or names what can't be had.
    """
    found = []
    described = (default.get("compression") or {}).items()
    for position, (step, (key, yaml)) in enumerate(zip(config["compression"], described, strict=True)):
        for name in yaml.get("_references_") or ():
            where = f"compression.{key}.{name}"
            fields = {field: value for field, value in step[name].items() if value is not None}
            if "signature" in fields:
                found.append(Reference(position, name, chain=_stored(fields, where, config["runtime"])))
            else:
                found.append(Reference(position, name, config=compose(_overlaid(overrides, fields, where))))
    return tuple(found)


def _overlaid(overrides: Sequence[str], fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """Return the asking point's overrides with `fields` laid over them, without compression."""
    if not fields:
        raise UserError(f"{where}: which network? set {where}.architecture=NAME or {where}.signature=SIGNATURE")
    replaced = ("compression", *fields)
    kept = [text for text in overrides if text.partition("=")[0].split(".")[0] not in replaced]
    laid = [f"{key}={option(key, value) if key in places.groups() else value}" for key, value in fields.items()]
    return (*kept, *laid)


def _stored(fields: Mapping[str, Any], where: str, runtime: Mapping[str, Any]) -> tuple[Json, ...]:
    from convarium.cli.stored import store_of

    if others := sorted(fields.keys() - {"signature"}):
        raise UserError(f"{where}.{others[0]} says nothing beside {where}.signature; leave one of them out")
    store = store_of(runtime)
    return tuple(_chain(store, store.resolve(str(fields["signature"])), where))


def _chain(store: "Store", signature: str, where: str) -> list[Json]:
    """Return the stages that made a stored network, as fields of nodes, parents first."""
    done = store.done(signature)
    if done is None or done["stage"] not in ("train", "compress"):
        raise UserError(f"{where}.signature={signature} is no stored network")
    own = {key: done[key] for key in ("stage", "version", "own", "parents", "fingerprint", "name")}
    return [*(node for parent in done["parents"] for node in _chain(store, parent, where)), own]
