"""What a strategy or a pruner needs of a search, which is refused in one line where the search does not offer it."""

from collections.abc import Collection, Mapping
from enum import Enum

from convarium.errors import UserError
from convarium.search.space import Domain


class Need(Enum):
    """Something that not every search offers; the value ends the sentence "… needs"."""

    ONE_OBJECTIVE = "a single objective"
    FINITE_SPACE = "a space of finitely many points: write range(LOW,HIGH,STEP) or values instead of interval(LOW,HIGH)"
    CURVE = "a curve to look at, and nothing is trained here"
    EQUAL_STEPS = "equally many epochs in all trials, and the space changes them"
    KNOWN_COSTS = "each cost among several objectives to be known before training, as macs are without compression"


def check_needs(option: str, needs: Collection[Need], offers: Collection[Need]) -> None:
    """Check that a search offers what an option of it needs.

    Args:
        option: as it is typed, such as "search/strategy=gp".

    Raises:
        UserError: it does not offer one.
    """
    for need in needs:
        if need not in offers:
            raise UserError(f"{option} needs {need.value}")


def has_finite_space(names: Mapping[str, Domain]) -> bool:
    """Whether a space has finitely many points."""
    return all(domain.count is not None for domain in names.values())
