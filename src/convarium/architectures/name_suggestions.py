"""What an unknown network name may have meant: the nearest name among our own networks, torchvision's and timm's."""

from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches

from convarium.architectures.library_names import LIBRARIES, read_library_names
from convarium.errors import UserError

MAX_NAME_CHARS = 80


def check_architecture_name(name: str, source: str, known_names: Collection[str]) -> None:
    """Check that `source` has a network of this name.

    Raises:
        UserError: it has not; with the nearest name of any source.
    """
    if name not in known_names:
        name = name[:MAX_NAME_CHARS]
        suggestion = suggest_architecture(name, source, known_names)
        raise UserError(f"architecture.name={name!r}: {source} has no such network{suggestion}")


def suggest_architecture(wrong_name: str, source: str, known_names: Collection[str]) -> str:
    """Return "; did you mean …?" with the name nearest to `wrong_name`, or nothing.

    Args:
        wrong_name: what was typed.
        source: where it was looked for: own, torchvision or timm.
        known_names: the names of `source`; those of torchvision and timm are searched too.
    """
    names_by_source = {source: known_names}
    for library in LIBRARIES:
        if library != source:
            names_by_source[library] = read_library_names(library)
    candidates = [
        (candidate_source, name)
        for candidate_source, names in names_by_source.items()
        for name in get_close_matches(wrong_name, names, n=1)
    ]
    if not candidates:
        return ""

    def compute_similarity(candidate: tuple[str, str]) -> float:
        return SequenceMatcher(None, candidate[1], wrong_name).ratio()

    # Of equally near names max() keeps the first, so one of `source` wins.
    nearest_source, nearest = max(candidates, key=compute_similarity)
    if nearest_source == source:
        return f"; did you mean {nearest!r}?"
    return f"; did you mean architecture={nearest_source} architecture.name={nearest}?"
