"""Which sizes of images a network takes."""

from collections.abc import Callable

from convarium.errors import UserError

STEP, LARGEST = 32, 512


def at_least(name: str, pixels: int, img_size: int) -> None:
    """Refuse images that are too small.

    Raises:
        UserError: `img_size` is below `pixels`.
    """
    if img_size < pixels:
        raise UserError(f"{name} needs images of at least {pixels} pixels a side, dataset.img_size is {img_size}")


def larger(works: Callable[[int], bool], img_size: int) -> int | None:
    """Return a size above `img_size`, which does not work, that works while one pixel less does not.

    Where every size above one that works does too, it is the smallest that works. Multiples of 32 are tried first,
    as some networks take nothing else; None where none up to 512 works.
    """
    high = next(filter(works, range((img_size // STEP + 1) * STEP, LARGEST + 1, STEP)), None)
    if high is None:
        return None
    low = max(img_size, high - STEP)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if works(middle) else (middle, high)
    return high
