"""A folder of the user's own pictures as the file system shows it: classes, contents, a fixed split. No torch."""

from convarium.pictures.look import look
from convarium.pictures.split import Listed, listed

__all__ = ["Listed", "listed", "look"]
