"""A folder of the user's own images as the file system shows it: classes, contents, a fixed split. No torch."""

from convarium.datasets.folder_images.fill_from_folder import fill_from_folder
from convarium.datasets.folder_images.folder_listing import FolderListing, list_folder_images

__all__ = ["FolderListing", "fill_from_folder", "list_folder_images"]
