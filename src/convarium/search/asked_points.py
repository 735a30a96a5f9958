"""Which points of a space were asked already.

A point is what was answered to the names that were asked for it; the answers to others would not have changed it. So
it stands for all assignments of the names that agree with its answers, and two points share none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Any

from convarium.search.space import Domain, RealRange, Value

Answers = Mapping[str, Value]


class AskedPoints:
    """The asked points of a space.

    Args:
        names: those of the space, with the domain of each.
        asked: the answers of each point that was asked, in the order in which they were; a point may be there twice.
    """

    def __init__(self, names: Mapping[str, Domain], asked: Iterable[Mapping[str, Any]]) -> None:
        self._names = names
        self._points_by_names: dict[tuple[str, ...], set[tuple[Value, ...]]] = defaultdict(set)
        stepped = {name: domain for name, domain in names.items() if isinstance(domain, RealRange) and domain.step}
        for answers in asked:
            # Optuna's steps may end with other digits than ours; a search has too many answers to round each.
            rounded = {name: stepped[name].round_to_step(answers[name]) for name in stepped if name in answers}
            if point := {**answers, **rounded}:
                self._points_by_names[tuple(point)].add(tuple(point.values()))

    def contains(self, assignment: Answers) -> bool:
        """Whether the point that an assignment of all names leads to was asked."""
        return any(
            tuple(assignment[name] for name in names) in points for names, points in self._points_by_names.items()
        )

    def count_free(self, partial: Answers) -> int:
        """Return how many assignments that agree with a partial one lead to points that were not asked.

        An endless domain counts as one value, and no point of one takes any of its assignments.
        """
        asked = sum(self._count_assignments({**partial, **point}) for point in self._list_finite_points(partial))
        return self._count_assignments(partial) - asked

    def _list_finite_points(self, partial: Answers) -> Iterator[Answers]:
        """Yield the points that agree with a partial assignment, but for those of endless domains."""
        for names, points in self._points_by_names.items():
            if any(self._names[name].count is None for name in names):
                continue
            for values in points:
                point = dict(zip(names, values, strict=True))
                if all(partial.get(name, value) == value for name, value in point.items()):
                    yield point

    def _count_assignments(self, partial: Answers) -> int:
        return prod(domain.count or 1 for name, domain in self._names.items() if name not in partial)
