"""Which sizes of images a network takes."""

from collections.abc import Callable

from convarium.errors import UserError

SIZE_STEP_PX, MAX_SIZE_PX = 32, 512


def check_min_image_size(name: str, min_size: int, img_size: int) -> None:
    """Refuse images that are too small.

    Raises:
        UserError: `img_size` is below `min_size`.
    """
    if img_size < min_size:
        raise UserError(f"{name} needs images of at least {min_size} pixels a side, dataset.img_size is {img_size}")


def find_larger_size(is_accepted: Callable[[int], bool], img_size: int) -> int | None:
    """Return a size above `img_size`, which does not work, that works while one pixel less does not.

    Where every size above one that works does too, it is the smallest that works. Multiples of 32 are tried first,
    as some networks take nothing else; None where none up to 512 works.
    """
    high = next(
        filter(is_accepted, range((img_size // SIZE_STEP_PX + 1) * SIZE_STEP_PX, MAX_SIZE_PX + 1, SIZE_STEP_PX)), None
    )
    if high is None:
        return None
    low = max(img_size, high - SIZE_STEP_PX)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_accepted(middle) else (middle, high)
    return high
