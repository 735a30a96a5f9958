"""The second tier of validation: each distinct pair of network and method is tried once, on the meta device."""

from dataclasses import replace

from convarium.compose.points import InvalidPoint, PointRequest


def validate_networks(request: PointRequest) -> PointRequest:
    """Return the request with the points whose method does not fit the network among the invalid ones."""
    from convarium.planning.validate import validate_points

    notes: list[str] = []
    reasons = validate_points(request.points, notes)
    invalid = tuple(InvalidPoint(request.points[index].overrides, reason) for index, reason in reasons.items())
    points = tuple(point for index, point in enumerate(request.points) if index not in reasons)
    return replace(request, points=points, invalid=request.invalid + invalid, notes=tuple(notes))
