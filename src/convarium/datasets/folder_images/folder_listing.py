"""Split of a folder of images, stratified and fixed by content.

Neither names nor folders of files inside a class matter, and a new file moves few others to another part.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from convarium.datasets.folder_images.class_folders import FolderLayout, read_folder_layout, walk_class_files
from convarium.datasets.folder_images.high_bit_depth import PixelExtent
from convarium.datasets.folder_images.manifest import read_image_contents
from convarium.datasets.folder_images.probe_image import UnreadableImage
from convarium.errors import UserError

PART_SHARES = {"test": 0.2, "validation": 0.1}  # of a class's different images; the rest is train
SKIP_UNREADABLE = "skip"
MAX_SUFFIXES = 5  # named in one line


@dataclass(frozen=True)
class ListedImage:
    """An image file.

    Attributes:
        label: number of its class.
        digest: sha256 of its content, in hex.
        extent: least and largest value of its pixels; None where they have 8 bits.
    """

    path: Path
    label: int
    digest: str
    extent: PixelExtent | None = None


@dataclass(frozen=True)
class FolderListing:
    """A folder of images.

    Attributes:
        classes: names in the order of labels.
        parts: train, validation and test; each in an order of which every prefix is stratified.
        fingerprint: 16 hex digits, of class names, contents and the user's own division.
        skipped: number of files that are not images and were left out.
        value_range: of the training images of more than 8 bits, or where none is among them of all such; None where
            all images have 8 bits.
    """

    classes: tuple[str, ...]
    parts: Mapping[str, tuple[ListedImage, ...]]
    fingerprint: str
    skipped: int
    value_range: tuple[float, float] | None = None


def list_folder_images(
    root: Path, on_error: str, manifest_folder: Path | None = None, class_names: Sequence[str] | None = None
) -> FolderListing:
    """List the images below `root`; within a process they are read again only when the folder of a class changed.

    Args:
        on_error: "skip" leaves out files that are not images or can't be read.
        manifest_folder: the folder in which digests are kept.
        class_names: in the order of labels, of which the folder need not hold all; None takes its folders' names.

    Raises:
        UserError: the folder holds no classes, files that are not images, or too few images of a class.
    """
    layout = read_folder_layout(root, None if class_names is None else tuple(class_names))
    folder_mtimes = tuple(class_folder.path.stat().st_mtime_ns for class_folder in layout.class_folders)
    return _list_layout_images(layout, folder_mtimes, on_error, manifest_folder)


@lru_cache(maxsize=8)
def _list_layout_images(
    layout: FolderLayout, folder_mtimes: tuple[int, ...], on_error: str, manifest_folder: Path | None
) -> FolderListing:
    """List the images of a layout.

    Args:
        folder_mtimes: of the class folders, in ns; only a part of the cache's key.
    """
    files = []
    for class_folder in layout.class_folders:
        files += [(class_folder, path) for path in walk_class_files(class_folder.path, layout.root)]
    contents = read_image_contents([path for _, path in files], layout.root, manifest_folder)
    images_by_part: dict[str, list[ListedImage]] = {}
    unreadable: list[tuple[Path, UnreadableImage]] = []
    for (class_folder, path), content in zip(files, contents, strict=True):
        if not isinstance(content, UnreadableImage):
            image = ListedImage(path, class_folder.label, content.digest, content.extent)
            images_by_part.setdefault(class_folder.part, []).append(image)
        else:
            unreadable.append((path, content))
    if unreadable and on_error != SKIP_UNREADABLE:
        raise UserError(_format_unreadable(unreadable, len(files)))
    fingerprint = _compute_fingerprint(images_by_part, layout)
    parts = _divide_into_parts(images_by_part, layout)
    return FolderListing(layout.classes, parts, fingerprint, len(unreadable), _find_value_range(parts))


def _format_unreadable(unreadable: Sequence[tuple[Path, UnreadableImage]], file_count: int) -> str:
    """Return what can't be read and what to do about it: a file with its reason, of several how many of each suffix."""
    path, reason = unreadable[0]
    if len(unreadable) == 1:
        return f"{path} {reason}; remove it, or set dataset.on_error=skip"
    counts = Counter(file.suffix.lower() or "without a suffix" for file, _ in unreadable)
    suffixes = ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common(MAX_SUFFIXES))
    if len(counts) > MAX_SUFFIXES:
        suffixes += ", …"
    return (
        f"{len(unreadable):,} of {file_count:,} files are no images ({suffixes}), such as {path}, which {reason};"
        " remove them, or set dataset.on_error=skip"
    )


def _compute_fingerprint(images_by_part: Mapping[str, list[ListedImage]], layout: FolderLayout) -> str:
    lines = []
    for part, images in images_by_part.items():
        lines += [f"{part}\t{layout.classes[image.label]}\t{image.digest}" for image in images]
    lines.sort()
    # Added only where they matter, so that the fingerprints of all other folders stay what they were.
    folder_names = sorted({class_folder.path.name for class_folder in layout.class_folders})
    if list(layout.classes) != folder_names:
        lines += [f"class\t{name}" for name in layout.classes]
    if any(image.extent is not None for images in images_by_part.values() for image in images):
        lines.append("values of more than 8 bits are scaled")
    return sha256("\n".join(lines).encode()).hexdigest()[:16]


def _find_value_range(parts: Mapping[str, Sequence[ListedImage]]) -> tuple[float, float] | None:
    """Return the range that `FolderListing.value_range` describes."""
    all_images = [image for images in parts.values() for image in images]
    for images in (parts["train"], all_images):
        extents = [image.extent for image in images if image.extent is not None]
        values = [value for extent in extents for value in extent]
        if values:
            return min(values), max(values)
    if all(image.extent is None for image in all_images):
        return None
    return 0.0, 1.0  # images of more than 8 bits without any finite value


def _divide_into_parts(
    images_by_part: Mapping[str, list[ListedImage]], layout: FolderLayout
) -> dict[str, tuple[ListedImage, ...]]:
    """Return train, validation and test; those that the user has not set apart are taken from the training images.

    Where the user has set apart a single other part, it is the test, whatever its name.
    """
    parts = dict(images_by_part)
    train = _group_by_class(parts.pop("", []) or parts.pop("train", []))
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    shares = {part: share for part, share in PART_SHARES.items() if part not in parts}
    labels_with_folder = {class_folder.label for class_folder in layout.class_folders}
    part_labels = {part: {image.label for image in images} for part, images in parts.items()}
    train_parts: dict[str, list[ListedImage]] = {part: [] for part in ("train", *shares)}
    for label, name in enumerate(layout.classes):
        members = train.get(label, [])
        if layout.is_partial:
            has_nothing_to_split = not shares and not members
            if label not in labels_with_folder or has_nothing_to_split:
                continue
        owner = f"{layout.root}: the class {name!r}"
        for part, images in _split_class(members, shares, owner).items():
            train_parts[part] += images
        for part, labels in part_labels.items():
            if label not in labels and not layout.is_partial:
                raise UserError(f"{owner} has no images for {part}")
    return {part: _interleave_classes(images) for part, images in {**parts, **train_parts}.items()}


def _group_by_class(images: Sequence[ListedImage]) -> dict[int, list[ListedImage]]:
    members: dict[int, list[ListedImage]] = {}
    for image in images:
        members.setdefault(image.label, []).append(image)
    return members


def _split_class(
    members: Sequence[ListedImage], shares: Mapping[str, float], owner: str
) -> dict[str, list[ListedImage]]:
    """Slice the images of a class, ordered by digest, into train and `shares`; equal images stay together.

    Args:
        owner: what an error message begins with.
    """
    digests = sorted({image.digest for image in members})
    if len(digests) <= len(shares):
        raise UserError(f"{owner} has {len(digests)} different images, at least {len(shares) + 1} are needed")
    part_of_digest = dict.fromkeys(digests, "train")
    start = 0
    for part, share in shares.items():
        end = start + max(1, round(share * len(digests)))
        part_of_digest |= dict.fromkeys(digests[start:end], part)
        start = end
    parts: dict[str, list[ListedImage]] = {part: [] for part in ("train", *shares)}
    for image in members:
        parts[part_of_digest[image.digest]].append(image)
    return parts


def _interleave_classes(images: Sequence[ListedImage]) -> tuple[ListedImage, ...]:
    """Order by digest within a class and interleave the classes evenly: every prefix is stratified."""
    positioned = []
    for label, members in _group_by_class(images).items():
        # The path decides between files of equal content: the order must not depend on how they were found.
        members.sort(key=lambda image: (image.digest, image.path))
        positioned += [((rank + 0.5) / len(members), label, image) for rank, image in enumerate(members)]
    positioned.sort(key=lambda entry: entry[:2])
    return tuple(image for _, _, image in positioned)
