"""Layout of a folder of images: `<root>/<class>/…`, or divided as `<root>/{train,val,test}/<class>/…`."""

import os
import re
from collections.abc import Iterable, Iterator
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
IGNORED_NAMES = ("thumbs.db", "desktop.ini", "__macosx")  # made by Windows and macOS, compared in lower case
LAYOUT_HINT = "put images into <root>/<class>/ or <root>/{train,val,test}/<class>/"

FolderId = tuple[int, int]  # device and inode


@dataclass(frozen=True)
class ClassFolder:
    """The folder of one class in one part.

    Attributes:
        part: train, validation or test; "" where the root is not divided into parts.
    """

    part: str
    label: int
    path: Path


@dataclass(frozen=True)
class FolderLayout:
    """The classes of a folder of images, and the folders that hold them.

    Attributes:
        classes: names in the order of their labels.
        class_folders: one for each class and part.
        is_partial: the names were given by the config, and some classes may have no folder.
    """

    root: Path
    classes: tuple[str, ...]
    class_folders: tuple[ClassFolder, ...]
    is_partial: bool = False


def read_folder_layout(root: Path, class_names: tuple[str, ...] | None = None) -> FolderLayout:
    """Return the classes of `root`, sorted by name, or `class_names`, of which it need not hold all.

    Raises:
        UserError: the folder is missing, it has no classes or a single one, a split that can't be used, a part with
            other classes than train, or a folder that is not among `class_names`.
    """
    top_names = _list_folders(root)
    if not top_names:
        raise UserError(f"dataset.root={root} holds no folders: {LAYOUT_HINT}")
    if class_names is not None:
        return _build_named_layout(root, top_names, class_names)
    if _has_parts(root, top_names):
        return _build_divided_layout(root, top_names)
    for name in top_names:
        _check_undivided(root / name)
    class_folders = tuple(ClassFolder("", label, root / name) for label, name in enumerate(top_names))
    return FolderLayout(root, _check_class_names(root, top_names), class_folders)


def parse_part_name(folder: str) -> str | None:
    """Return the part of a split (train, validation, test) that a folder's name stands for, in any case."""
    return PART_OF_SPELLING.get(PART_NAME_SUFFIX.sub("", folder.casefold()))


def _parse_part_names(folders: Iterable[str]) -> dict[str, str]:
    """Return the part of each folder whose name stands for one."""
    parts = {folder: parse_part_name(folder) for folder in folders}
    return {folder: part for folder, part in parts.items() if part is not None}


def _has_parts(root: Path, top_names: list[str]) -> bool:
    """Whether the folders are the parts of a split; one such name among others is a class (CIFAR-100 has `train`).

    Raises:
        UserError: several parts of a split stand next to other folders, or two folders are the same part.
    """
    parts = _parse_part_names(top_names)
    first_folders = {part: folder for folder, part in reversed(parts.items())}
    others = [name for name in top_names if name not in parts]
    if others:
        if len(first_folders) > 1:
            names = " and ".join(sorted(first_folders.values()))
            raise UserError(f"dataset.root={root} holds {names}, parts of a split, beside {others[0]!r}: {LAYOUT_HINT}")
        return False
    for folder, part in parts.items():
        if first_folders[part] != folder:
            raise UserError(f"dataset.root={root} holds both {first_folders[part]} and {folder}: keep one of them")
    return True


def _check_undivided(class_folder: Path) -> None:
    """Refuse a class whose folder is divided into parts: its images would be mixed and split anew."""
    parts = _parse_part_names(_list_folders(class_folder))
    folder_of_part = {part: folder for folder, part in parts.items()}
    if len(folder_of_part) > 1:
        names = " and ".join(sorted(folder_of_part.values()))
        raise UserError(
            f"{class_folder} is divided into {names}: put them above the classes, as <root>/train/{class_folder.name}/"
        )


def _build_named_layout(root: Path, top_names: list[str], class_names: tuple[str, ...]) -> FolderLayout:
    """Find the folders of the named classes; a split without train needs both validation and test."""
    # A class may be called like a part ("train"): it is one if all folders are classes and none holds folders.
    are_classes = set(top_names) <= set(class_names) and not any(_list_folders(root / name) for name in top_names)
    if not are_classes and _has_parts(root, top_names):
        part_folders = [(part, root / name) for name, part in _parse_part_names(top_names).items()]
    else:
        part_folders = [("", root)]
    parts = {part for part, _ in part_folders}
    if parts < {"validation", "test"}:
        raise UserError(f"dataset.root={root} holds {top_names[0]} alone: without train it needs val and test")
    labels = {name: label for label, name in enumerate(class_names)}
    class_folders = []
    for part, folder in part_folders:
        for name in _list_folders(folder):
            if name not in labels:
                raise UserError(f"{folder} holds {name!r}, which is none of dataset.class_names")
            _check_undivided(folder / name)
            class_folders.append(ClassFolder(part, labels[name], folder / name))
    return FolderLayout(root, _check_class_names(root, list(class_names)), tuple(class_folders), is_partial=True)


def _build_divided_layout(root: Path, top_names: list[str]) -> FolderLayout:
    """Find the folders of the classes of train, of which every other part must hold each and no further one."""
    parts = _parse_part_names(top_names)
    train_names = [name for name in top_names if parts[name] == "train"]
    if not train_names:
        raise UserError(f"dataset.root={root} holds {' and '.join(top_names)}, but no train: {LAYOUT_HINT}")
    train = root / train_names[0]
    classes = _list_folders(train)
    class_folders = []
    for top_name in top_names:
        part_folder = root / top_name
        part_classes = set(_list_folders(part_folder))
        added = sorted(part_classes - set(classes))
        if added:
            raise UserError(f"{part_folder} holds the class {added[0]!r}, which {train} does not")
        missing = sorted(set(classes) - part_classes)
        if missing:
            raise UserError(f"{part_folder} holds nothing of the class {missing[0]!r}")
        for label, name in enumerate(classes):
            class_folders.append(ClassFolder(parts[top_name], label, part_folder / name))
    return FolderLayout(root, _check_class_names(train, classes), tuple(class_folders))


def _check_class_names(folder: Path, classes: list[str]) -> tuple[str, ...]:
    if len(classes) < 2:
        content = f"one class only, {classes[0]!r}" if classes else "no class"
        raise UserError(f"{folder} holds {content}: a classifier needs two, a folder each")
    for name in classes:
        if not name.isprintable():
            raise UserError(f"{folder}: the class {name!r} has no printable name: rename its folder")
    return tuple(classes)


def _list_folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _list_entries(folder) if _is_folder(entry))


def walk_class_files(class_folder: Path, root: Path) -> Iterator[Path]:
    """Yield every file below `class_folder`, ordered by name; links are followed.

    Raises:
        UserError: a folder can't be read, or a link leads back to a folder that holds it.
    """
    parents = [folder for folder in reversed(class_folder.parents) if root in folder.parents]
    ancestors = frozenset(_read_folder_id(folder) for folder in [root, *parents])
    yield from _walk_folder(class_folder, ancestors)


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield every file below any folder, as `walk_class_files` does below that of a class."""
    yield from _walk_folder(folder, frozenset())


def _walk_folder(folder: Path, ancestors: frozenset[FolderId]) -> Iterator[Path]:
    folder_id = _read_folder_id(folder)
    if folder_id in ancestors:
        raise UserError(f"{folder} leads back to a folder that it lies in: links in a circle")
    for entry in sorted(_list_entries(folder), key=lambda entry: entry.name):
        if _is_folder(entry):
            yield from _walk_folder(folder / entry.name, ancestors | {folder_id})
        else:
            yield folder / entry.name


def _read_folder_id(folder: Path) -> FolderId:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _list_entries(folder: Path) -> list["os.DirEntry[str]"]:
    """Return what a folder holds, without hidden and ignored files."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        raise UserError(f"dataset.root={folder} is not there") from None
    except NotADirectoryError:
        raise UserError(f"dataset.root={folder} is not a folder: {LAYOUT_HINT}") from None
    except OSError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}") from None
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    return [entry for entry in visible if entry.name.lower() not in IGNORED_NAMES]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:  # such as a link to itself
        raise UserError(f"{entry.path} can't be followed: {error.strerror}") from None
