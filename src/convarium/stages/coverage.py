"""How much of each network that points ask for their methods can work on, told from the meta device."""

from collections.abc import Sequence
from typing import Any

from convarium.names import allowing, packages
from convarium.stages.graph import Point
from convarium.store.signature import canonical_json

BEGINNINGS = ("weights", "pretrained")


def find_coverages(points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return `architecture` (its name), `coverage` and `uncovered` for each network of sound points.

    See `compression.coverage`: shares of weights, in 0..1. Each distinct network is built once, without memory.
    """
    from convarium.architectures import library
    from convarium.comparison.labels import architecture
    from convarium.compression.coverage import find_coverage

    found: dict[str, dict[str, Any]] = {}
    for point in points:
        told = {key: value for key, value in point.config["architecture"].items() if key not in BEGINNINGS}
        if (key := canonical_json(told)) not in found:
            with allowing(packages(point.config)):
                coverage = find_coverage(library.build(library.delivered(told), "meta"))
            name = architecture(point.config)
            found[key] = {"architecture": name, "coverage": coverage.share, "uncovered": coverage.others}
    return list(found.values())
