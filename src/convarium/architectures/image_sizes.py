"""Sizes of images that a network takes: the check for its smallest, and the search for the next one that works."""

from collections.abc import Callable

from convarium.errors import UserError

SIZE_STEP_PX, MAX_SIZE_PX = 32, 512


class UnfitImagesError(UserError):
    """A network fails with images of this size, and its library or package does not say which size it takes."""


def check_min_image_size(name: str, min_size: int, img_size: int) -> None:
    """Refuse images that are too small.

    Raises:
        UserError: `img_size` is below `min_size`.
    """
    if img_size < min_size:
        raise UserError(f"{name} needs images of at least {min_size} pixels a side, dataset.img_size is {img_size}")


def find_larger_size(is_accepted: Callable[[int], bool], img_size: int) -> int | None:
    """Return a size above `img_size` that works while one pixel less does not; None where none up to 512 works.

    It is the smallest size that works, if every size above one that works does too. Multiples of 32 are tried first,
    as some networks take nothing else.

    Args:
        is_accepted: whether a size works.
        img_size: a size that does not work.
    """
    next_multiple = (img_size // SIZE_STEP_PX + 1) * SIZE_STEP_PX
    multiples = range(next_multiple, MAX_SIZE_PX + 1, SIZE_STEP_PX)
    working = next((size for size in multiples if is_accepted(size)), None)
    if working is None:
        return None
    failing = max(img_size, working - SIZE_STEP_PX)
    while working - failing > 1:
        middle = (failing + working) // 2
        if is_accepted(middle):
            working = middle
        else:
            failing = middle
    return working
