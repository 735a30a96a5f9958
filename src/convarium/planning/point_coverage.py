"""The share of each network that compression methods can work on, computed on the meta device."""

from collections.abc import Sequence
from typing import Any

from convarium.lookup import allow_packages, find_named_packages
from convarium.planning.stage_graph import Json, PointLike
from convarium.store.signature import canonical_json

WEIGHT_SOURCE_KEYS = ("weights", "pretrained")


def measure_coverages(points: Sequence[PointLike]) -> list[dict[str, Any]]:
    """Return `architecture` (its name), `coverage` and `uncovered` for each distinct network of valid points.

    See `compression.coverage`: shares of weights, in 0..1. Each distinct network is built once, without memory.
    """
    from convarium.architectures import factory
    from convarium.comparison.labels import get_architecture_option
    from convarium.compression.coverage import compute_site_coverage

    coverages: dict[str, dict[str, Any]] = {}
    for point in points:
        architecture = drop_weight_source(point.config["architecture"])
        key = canonical_json(architecture)
        if key in coverages:
            continue
        with allow_packages(find_named_packages(point.config)):
            network = factory.build_architecture(factory.condense_architecture(architecture), "meta")
            coverage = compute_site_coverage(network)
        coverages[key] = {
            "architecture": get_architecture_option(point.config),
            "coverage": coverage.share,
            "uncovered": coverage.other_shares,
        }
    return list(coverages.values())


def drop_weight_source(architecture: Json) -> Json:
    """Return an architecture without the keys that say where its weights come from: its structure has none of them."""
    return {key: value for key, value in architecture.items() if key not in WEIGHT_SOURCE_KEYS}
