"""The second tier of validation: networks on the meta device, each distinct pair of network and method once."""

from dataclasses import replace

from convarium.compose.points import InvalidPoint, PointRequest


def validate_networks(asked: PointRequest) -> PointRequest:
    """Return `asked` with the points whose method does not fit the network among the invalid ones."""
    from convarium.planning.validate import validate_points

    notes: list[str] = []
    reasons = validate_points(asked.points, notes)
    invalid = tuple(InvalidPoint(asked.points[index].overrides, reason) for index, reason in reasons.items())
    points = tuple(point for index, point in enumerate(asked.points) if index not in reasons)
    return replace(asked, points=points, invalid=asked.invalid + invalid, notes=tuple(notes))
