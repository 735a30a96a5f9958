"""Which sizes of images a network takes."""

from collections.abc import Callable

from convarium.errors import UserError

LARGEST = 512


def at_least(name: str, pixels: int, img_size: int) -> None:
    """Refuse images that are too small.

    Raises:
        UserError: `img_size` is below `pixels`.
    """
    if img_size < pixels:
        raise UserError(f"{name} needs images of at least {pixels} pixels a side, dataset.img_size is {img_size}")


def least(runs: Callable[[int], bool], too_small: int) -> str:
    """Say the smallest size above `too_small` for which a network `runs`, or nothing where LARGEST is not enough.

    Sizes are doubled, then halved between the last that fails and the first that runs.
    """
    failing, running = too_small, 2 * too_small
    while running <= LARGEST and not runs(running):
        failing, running = running, 2 * running
    if running > LARGEST:
        return ""
    while running - failing > 1:
        middle = (failing + running) // 2
        failing, running = (failing, middle) if runs(middle) else (middle, running)
    return f"; dataset.img_size={running} works"
