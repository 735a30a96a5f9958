"""References: a step that needs another network (a teacher) names it, and gets it as a parent.

A method's YAML lists such knobs under `_references_`; each holds the fields `signature`, `architecture`, `recipe` and
`seed`, null by default. Either the signature of a stored network is given, or what differs from the asking command:
the rest is taken from it, without compression, and the network is trained in the same sweep if it is not stored.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convarium.compose.adopted_weights import NODE_FIELDS
from convarium.compose.option_names import resolve_option
from convarium.config import search_path
from convarium.config.compression_steps import list_term_names
from convarium.config.override import Override
from convarium.config.point import Reference
from convarium.errors import UserError
from convarium.stages.declaration import makes_network

if TYPE_CHECKING:
    from convarium.store.store import Store

Json = dict[str, Any]


def find_references(
    overrides: Sequence[Override],
    config: Json,
    default: Mapping[str, Any],
    compose: Callable[[tuple[Override, ...]], Json],
) -> tuple[Reference, ...]:
    """Return the references of all steps of a point.

    Args:
        overrides: what the point was composed from.
        default: the same composition before any value was set.
        compose: makes a checked config of overrides.

    Raises:
        UserError: a reference is left open, or names what can't be had.
    """
    references = []
    if "weights" in config["architecture"]:
        references.append(_build_dense_reference(-1, "weights", config))
    declared_steps = (default.get("compression") or {}).items()
    for position, (step, (key, yaml)) in enumerate(zip(config["compression"], declared_steps, strict=True)):
        for name, fields, is_term in _iterate_references(step, yaml):
            where = f"compression.{key}.{name}"
            if "signature" in fields:
                chain = _load_stored_chain(fields, where, config["runtime"])
                references.append(Reference(position, name, node_fields=chain))
            else:
                network_overrides = _overlay_fields(overrides, fields, where, needed=not is_term)
                references.append(_build_dense_reference(position, name, compose(network_overrides)))
    return tuple(references)


def _build_dense_reference(position: int, name: str, config: Json) -> Reference:
    """Return the reference to a config's dense network: trained by that config, or adopted."""
    if "weights" not in config["architecture"]:
        return Reference(position, name, config=config)
    from convarium.compose.adopted_weights import read_adoption_stages

    return Reference(position, name, node_fields=read_adoption_stages(config))


def _iterate_references(step: Json, yaml: Mapping[str, Any]) -> Iterator[tuple[str, Json, bool]]:
    """Yield name and fields of each reference of a step and of its terms, and whether it is a term's.

    A term that names no network has the step's own dense network.
    """
    blocks = [("", step, yaml)]
    for term in list_term_names(yaml):
        if term in step:
            blocks.append((f"{term}.", step[term], yaml[term]))
    for prefix, values, block_yaml in blocks:
        for name in block_yaml.get("_references_") or ():
            fields = {field: value for field, value in values[name].items() if value is not None}
            yield f"{prefix}{name}", fields, "_term_" in block_yaml


def _overlay_fields(
    overrides: Sequence[Override], fields: Mapping[str, Any], where: str, needed: bool
) -> tuple[Override, ...]:
    """Return the asking point's overrides without compression, with `fields` in place of their own groups."""
    if needed and not fields:
        raise UserError(f"{where}: which network? set {where}.architecture=NAME or {where}.signature=SIGNATURE")
    replaced = ("compression", *fields)
    kept = [override for override in overrides if override.group not in replaced]
    for key, value in fields.items():
        chosen = resolve_option(key, value) if key in search_path.list_config_groups() else value
        kept.append(Override(f"{key}={chosen}"))
    return tuple(kept)


def _load_stored_chain(fields: Mapping[str, Any], where: str, runtime: Mapping[str, Any]) -> tuple[Json, ...]:
    from convarium.compose.store_access import open_store

    others = sorted(fields.keys() - {"signature"})
    if others:
        raise UserError(f"{where}.{others[0]} says nothing beside {where}.signature; leave one of them out")
    store = open_store(runtime)
    signature = store.resolve_signature(str(fields["signature"]))
    return tuple(_list_chain_stages(store, signature, where))


def _list_chain_stages(store: "Store", signature: str, where: str) -> list[Json]:
    """Return the stages that made a stored network, as fields of nodes, parents first."""
    record = store.find_record(signature)
    if record is None or not makes_network(record["stage"]):
        raise UserError(f"{where}.signature={signature} is not a stored network")
    stages = []
    for parent in record["parents"]:
        stages += _list_chain_stages(store, parent, where)
    return [*stages, {key: record[key] for key in NODE_FIELDS}]
