"""Which sizes of images a network takes."""

from convarium.errors import UserError


def at_least(name: str, pixels: int, img_size: int) -> None:
    """Refuse images that are too small.

    Raises:
        UserError: `img_size` is below `pixels`.
    """
    if img_size < pixels:
        raise UserError(f"{name} needs images of at least {pixels} pixels a side, dataset.img_size is {img_size}")
