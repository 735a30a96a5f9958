"""A fixed stratified split by content: neither names nor places of files matter, and adding one moves few others."""

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

PART_SHARES = {"test": 0.2, "validation": 0.1}
SKIP_UNREADABLE = "skip"


@dataclass(frozen=True)
class ListedImage:
    """A file, its class, the sha256 of its content, and the range of its values where they have more than 8 bits."""

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
        fingerprint: of class names, contents and the user's own division, 16 hexadecimal digits.
        skipped: files that are not images.
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
    """Look through `root`; within one process again only where a class's folder has changed.

    Args:
        on_error: "skip" leaves out files that are not images or can't be read.
        manifest_folder: the folder in which digests are kept.
        class_names: of the classes in the order of labels; the folder need not hold all of them. None: its folders'
            names.

    Raises:
        UserError: a folder that holds no classes, files that are not images, too few images of a class.
    """
    found = read_folder_layout(root, None if class_names is None else tuple(class_names))
    return _list_layout_images(
        found, tuple(home.path.stat().st_mtime_ns for home in found.class_folders), on_error, manifest_folder
    )


@lru_cache(maxsize=8)
def _list_layout_images(
    folder_layout: FolderLayout, folder_mtimes: tuple[int, ...], on_error: str, manifest_folder: Path | None
) -> FolderListing:
    placed = [
        (home, path) for home in folder_layout.class_folders for path in walk_class_files(home.path, folder_layout.root)
    ]
    known = read_image_contents([path for _, path in placed], folder_layout.root, manifest_folder)
    given: dict[str, list[ListedImage]] = {}
    skipped = 0
    for (home, path), content in zip(placed, known, strict=True):
        if not isinstance(content, UnreadableImage):
            given.setdefault(home.part, []).append(ListedImage(path, home.label, content.digest, content.extent))
        elif on_error == SKIP_UNREADABLE:
            skipped += 1
        else:
            raise UserError(f"{path} {content}; remove it, or set dataset.on_error=skip")
    lines = sorted(f"{part}\t{folder_layout.classes[one.label]}\t{one.digest}" for part in given for one in given[part])
    if list(folder_layout.classes) != sorted({home.path.name for home in folder_layout.class_folders}):
        lines += [f"class\t{name}" for name in folder_layout.classes]
    if any(one.extent is not None for part in given.values() for one in part):
        lines.append("values of more than 8 bits are scaled")
    fingerprint = sha256("\n".join(lines).encode()).hexdigest()[:16]
    parts = _divide_into_parts(given, folder_layout)
    return FolderListing(folder_layout.classes, parts, fingerprint, skipped, _find_value_range(parts))


def _find_value_range(parts: Mapping[str, Sequence[ListedImage]]) -> tuple[float, float] | None:
    for images in (parts["train"], [one for part in parts.values() for one in part]):
        extents = [one.extent for one in images if one.extent is not None]
        if values := [value for extent in extents for value in extent]:
            return min(values), max(values)
    return (0.0, 1.0) if extents else None


def _divide_into_parts(
    given: Mapping[str, list[ListedImage]], found: FolderLayout
) -> dict[str, tuple[ListedImage, ...]]:
    """Take from the training images what the user has not set apart; his only other part is the test."""
    parts = dict(given)
    train = _group_by_class(parts.pop("", []) or parts.pop("train", []))
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    wanted = {part: share for part, share in PART_SHARES.items() if part not in parts}
    present = {home.label for home in found.class_folders}
    there = {part: _group_by_class(images) for part, images in parts.items()}
    cut: dict[str, list[ListedImage]] = {part: [] for part in ("train", *wanted)}
    for label, name in enumerate(found.classes):
        if found.is_partial and (label not in present or not (wanted or train.get(label))):
            continue
        for part, chosen in _split_class(train.get(label, []), wanted, f"{found.root}: the class {name!r}").items():
            cut[part] += chosen
        if lacking := [part for part in parts if label not in there[part] and not found.is_partial]:
            raise UserError(f"{found.root}: the class {name!r} has no images for {lacking[0]}")
    return {part: _interleave_classes(images) for part, images in {**parts, **cut}.items()}


def _group_by_class(images: Sequence[ListedImage]) -> dict[int, list[ListedImage]]:
    found: dict[int, list[ListedImage]] = {}
    for one in images:
        found.setdefault(one.label, []).append(one)
    return found


def _split_class(
    members: Sequence[ListedImage], shares: Mapping[str, float], whose: str
) -> dict[str, list[ListedImage]]:
    """Slice a class, ordered by digest; equal images stay together."""
    order = sorted({one.digest for one in members})
    if len(order) <= len(shares):
        raise UserError(f"{whose} has {len(order)} different images, at least {len(shares) + 1} are needed")
    part_of, start = dict.fromkeys(order, "train"), 0
    for part, share in shares.items():
        end = start + max(1, round(share * len(order)))
        part_of |= dict.fromkeys(order[start:end], part)
        start = end
    result: dict[str, list[ListedImage]] = {part: [] for part in ("train", *shares)}
    for one in members:
        result[part_of[one.digest]].append(one)
    return result


def _interleave_classes(images: Sequence[ListedImage]) -> tuple[ListedImage, ...]:
    """Order by digest within a class and interleave the classes evenly."""
    placed = []
    for label, members in _group_by_class(images).items():
        ordered = sorted(members, key=lambda one: (one.digest, one.path))
        placed += [((rank + 0.5) / len(members), label, one) for rank, one in enumerate(ordered)]
    return tuple(one for _, _, one in sorted(placed, key=lambda entry: entry[:2]))
