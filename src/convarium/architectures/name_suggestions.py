"""What a name that is not a network's may have meant: the nearest of our own networks, torchvision's and timm's."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

from convarium.architectures.library_names import LIBRARIES, read_library_names


def suggest_architecture(wrong: str, source: str, known: Iterable[str]) -> str:
    """Return "; did you mean …?" for the name nearest to `wrong`, or nothing.

    Args:
        wrong: what was typed.
        source: where it was looked for: own, torchvision or timm.
        known: the names there are; those of torchvision and timm are looked through after them.
    """
    found = [(source, name) for name in get_close_matches(wrong, list(known), n=1)]
    for other in LIBRARIES:
        if other != source:
            found += [(other, name) for name in get_close_matches(wrong, read_library_names(other), n=1)]
    if not found:
        return ""
    place, name = max(found, key=lambda one: SequenceMatcher(None, one[1], wrong).ratio())
    return f"; did you mean {repr(name) if place == source else f'architecture={place} architecture.name={name}'}?"
