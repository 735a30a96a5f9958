"""How much of each network that points ask for their methods can work on, told from the meta device."""

from collections.abc import Sequence
from typing import Any

from convarium.lookup import allow_packages, find_named_packages
from convarium.planning.stage_graph import PointLike
from convarium.store.signature import canonical_json

WEIGHT_SOURCE_KEYS = ("weights", "pretrained")


def measure_coverages(points: Sequence[PointLike]) -> list[dict[str, Any]]:
    """Return `architecture` (its name), `coverage` and `uncovered` for each network of sound points.

    See `compression.coverage`: shares of weights, in 0..1. Each distinct network is built once, without memory.
    """
    from convarium.architectures import factory
    from convarium.comparison.labels import get_architecture_option
    from convarium.compression.coverage import compute_site_coverage

    found: dict[str, dict[str, Any]] = {}
    for point in points:
        told = {key: value for key, value in point.config["architecture"].items() if key not in WEIGHT_SOURCE_KEYS}
        if (key := canonical_json(told)) not in found:
            with allow_packages(find_named_packages(point.config)):
                coverage = compute_site_coverage(
                    factory.build_architecture(factory.condense_architecture(told), "meta")
                )
            name = get_architecture_option(point.config)
            found[key] = {"architecture": name, "coverage": coverage.share, "uncovered": coverage.other_shares}
    return list(found.values())
