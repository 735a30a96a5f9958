"""The second tier of validation: networks on the meta device, each distinct pair of network and method once."""

from dataclasses import replace

from convarium.cli.points import Asked, Invalid


def validated(asked: Asked) -> Asked:
    """Return `asked` with the points whose method does not fit the network among the invalid ones."""
    from convarium.stages.validate import validate

    notes: list[str] = []
    reasons = validate(asked.points, notes)
    invalid = tuple(Invalid(asked.points[index].overrides, reason) for index, reason in reasons.items())
    points = tuple(point for index, point in enumerate(asked.points) if index not in reasons)
    return replace(asked, points=points, invalid=asked.invalid + invalid, notes=tuple(notes))
