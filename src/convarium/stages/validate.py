"""The second tier of validation: build every distinct network on the meta device and fit each method to it."""

from collections.abc import Sequence

from convarium.errors import UserError
from convarium.stages.graph import Json, Point
from convarium.store.signature import canonical_json


def validate(points: Sequence[Point]) -> dict[int, str]:
    """Return the one-line reason for every point (by index) whose network or methods can't work.

    Each distinct architecture is built once, each distinct (architecture, step) tried once; no memory is taken.
    """
    answers: dict[str, str | None] = {}
    found: dict[int, str] = {}
    for index, point in enumerate(points):
        for step in [None, *point.config["compression"]]:
            key = canonical_json([point.config["architecture"], step])
            if key not in answers:
                answers[key] = _trouble(point.config["architecture"], step)
            reason = answers[key]
            if reason:
                found.setdefault(index, reason)
    return found


def _trouble(architecture: Json, step: Json | None) -> str | None:
    from convarium.architectures import library
    from convarium.compression.sites import check

    try:
        network = library.build(architecture, device="meta")
        if step is not None:
            check(network, step)
    except UserError as error:
        return str(error)
    return None
