"""Where the images lie: `<root>/<class>/…`, or divided as `<root>/{train,val,test}/<class>/…`, however spelt."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convarium.errors import UserError

PART_SPELLINGS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
PART_OF_SPELLING = {spelling: part for part, spellings in PART_SPELLINGS.items() for spelling in spellings}
PART_NAME_SUFFIX = re.compile(r"[\W_]*(set|split|data|images|pictures)$")  # "training_set", "Test Images", "trainset"
IGNORED_FILES = ("thumbs.db", "desktop.ini")
LAYOUT_HINT = "put images into <root>/<class>/ or <root>/{train,val,test}/<class>/"

FolderId = tuple[int, int]


@dataclass(frozen=True)
class ClassFolder:
    """The folder of one class in one part; the part is "" where the root is not divided into parts."""

    part: str
    label: int
    path: Path


@dataclass(frozen=True)
class FolderLayout:
    """Class names in the order of their labels and the folder of each; with `is_partial` some may have none."""

    root: Path
    classes: tuple[str, ...]
    class_folders: tuple[ClassFolder, ...]
    is_partial: bool = False


def read_folder_layout(root: Path, class_names: tuple[str, ...] | None = None) -> FolderLayout:
    """Return the classes of `root`, sorted by name, or `class_names`, of which it need not hold all.

    Raises:
        UserError: no folder, no classes or one alone, a split that can't be used, a part whose classes are not those of
            train, a folder that is none of the names.
    """
    tops = _list_folders(root)
    if not tops:
        raise UserError(f"dataset.root={root} holds no folders: {LAYOUT_HINT}")
    if class_names is not None:
        return _build_named_layout(root, tops, class_names)
    if _has_parts(root, tops):
        return _build_divided_layout(root, tops)
    for name in tops:
        _check_undivided(root / name)
    homes = tuple(ClassFolder("", label, root / name) for label, name in enumerate(tops))
    return FolderLayout(root, _check_class_names(root, tops), homes)


def parse_part_name(folder: str) -> str | None:
    """Return the part of a split (train, validation, test) that a folder's name stands for, in any case."""
    return PART_OF_SPELLING.get(PART_NAME_SUFFIX.sub("", folder.casefold()))


def _has_parts(root: Path, tops: list[str]) -> bool:
    """Whether the folders are the parts of a split; one such name among others is a class (CIFAR-100 has `train`).

    Raises:
        UserError: different parts of a split lie beside other folders, or one part is there twice.
    """
    parts = {top: part for top in tops if (part := parse_part_name(top))}
    first_of = {part: top for top, part in reversed(parts.items())}
    if others := [top for top in tops if top not in parts]:
        if len(first_of) > 1:
            told = " and ".join(sorted(first_of.values()))
            raise UserError(f"dataset.root={root} holds {told}, parts of a split, beside {others[0]!r}: {LAYOUT_HINT}")
        return False
    for top, part in parts.items():
        if first_of[part] != top:
            raise UserError(f"dataset.root={root} holds both {first_of[part]} and {top}: keep one of them")
    return True


def _check_undivided(class_folder: Path) -> None:
    """Refuse a class whose folder is divided into parts: its images would be mixed and split anew."""
    parts = {part: name for name in _list_folders(class_folder) if (part := parse_part_name(name))}
    if len(parts) > 1:
        told = " and ".join(sorted(parts.values()))
        raise UserError(
            f"{class_folder} is divided into {told}: put them above the classes, as <root>/train/{class_folder.name}/"
        )


def _build_named_layout(root: Path, tops: list[str], names: tuple[str, ...]) -> FolderLayout:
    """Find those of the named classes that are there; without train there must be the other two parts."""
    are_classes = set(tops) <= set(names) and not any(_list_folders(root / top) for top in tops)
    is_split = not are_classes and _has_parts(root, tops)
    parts = [(parse_part_name(top) or "", root / top) for top in tops] if is_split else [("", root)]
    there = {part for part, _ in parts}
    if there < {"validation", "test"}:
        raise UserError(f"dataset.root={root} holds {tops[0]} alone: without train it needs val and test")
    labels, homes = {name: label for label, name in enumerate(names)}, []
    for part, folder in parts:
        for name in _list_folders(folder):
            if name not in labels:
                raise UserError(f"{folder} holds {name!r}, which is none of dataset.class_names")
            _check_undivided(folder / name)
            homes.append(ClassFolder(part, labels[name], folder / name))
    return FolderLayout(root, _check_class_names(root, list(names)), tuple(homes), is_partial=True)


def _build_divided_layout(root: Path, tops: list[str]) -> FolderLayout:
    parts = {top: parse_part_name(top) or "" for top in tops}
    train = next((root / top for top in tops if parts[top] == "train"), None)
    if train is None:
        raise UserError(f"dataset.root={root} holds {' and '.join(tops)}, but no train: {LAYOUT_HINT}")
    classes = _list_folders(train)
    for top in tops:
        found = set(_list_folders(root / top))
        if added := sorted(found - set(classes)):
            raise UserError(f"{root / top} holds the class {added[0]!r}, which {train} does not")
        if lacking := sorted(set(classes) - found):
            raise UserError(f"{root / top} holds nothing of the class {lacking[0]!r}")
    homes = [ClassFolder(parts[top], label, root / top / name) for top in tops for label, name in enumerate(classes)]
    return FolderLayout(root, _check_class_names(train, classes), tuple(homes))


def _check_class_names(folder: Path, classes: list[str]) -> tuple[str, ...]:
    if len(classes) < 2:
        told = f"one class only, {classes[0]!r}" if classes else "no class"
        raise UserError(f"{folder} holds {told}: a classifier needs two, a folder each")
    for name in classes:
        if not name.isprintable():
            raise UserError(f"{folder}: the class {name!r} has no printable name: rename its folder")
    return tuple(classes)


def _list_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _list_entries(folder) if _is_folder(entry))


def walk_class_files(class_folder: Path, root: Path) -> Iterator[Path]:
    """Yield every file below `class_folder`, by name, through links.

    Raises:
        UserError: a folder that can't be read, or a link that leads back to a folder it lies in.
    """
    above = [root, *(folder for folder in reversed(class_folder.parents) if root in folder.parents)]
    yield from _walk_folder(class_folder, frozenset(map(_read_folder_id, above)))


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder that need not be one of classes, as `walk_class_files` does."""
    yield from _walk_folder(folder, frozenset())


def _walk_folder(folder: Path, above: frozenset[FolderId]) -> Iterator[Path]:
    identity = _read_folder_id(folder)
    if identity in above:
        raise UserError(f"{folder} leads back to a folder that it lies in: links in a circle")
    for entry in sorted(_list_entries(folder), key=lambda entry: entry.name):
        if _is_folder(entry):
            yield from _walk_folder(folder / entry.name, above | {identity})
        else:
            yield folder / entry.name


def _read_folder_id(folder: Path) -> FolderId:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _list_entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:
        raise UserError(f"dataset.root={folder} is not there") from None
    except NotADirectoryError:
        raise UserError(f"dataset.root={folder} is not a folder: {LAYOUT_HINT}") from None
    except OSError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}") from None
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in IGNORED_FILES]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise UserError(f"{entry.path} can't be followed: {error.strerror}") from None
