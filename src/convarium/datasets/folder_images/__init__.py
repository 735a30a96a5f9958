"""A folder of the user's own images: its classes, the contents of its files, a fixed split. Imports no torch."""

from convarium.datasets.folder_images.fill_from_folder import fill_from_folder
from convarium.datasets.folder_images.folder_listing import FolderListing, list_folder_images

__all__ = ["FolderListing", "fill_from_folder", "list_folder_images"]
