"""Where the pictures lie: `<root>/<class>/…`, or `<root>/{train,val,validation,test}/<class>/…`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convarium.errors import UserError

PARTS = {"train": "train", "val": "validation", "validation": "validation", "test": "test"}
IGNORED = ("thumbs.db", "desktop.ini")
LAYOUT = "put pictures into <root>/<class>/ or <root>/{train,val,test}/<class>/"

Identity = tuple[int, int]


@dataclass(frozen=True)
class Home:
    """The folder of one class in one part; the part is "" where the root is not divided into parts."""

    part: str
    label: int
    path: Path


@dataclass(frozen=True)
class Layout:
    """Class names in the order of their labels, and where each class lies; all of them have folders, or `some` only."""

    root: Path
    classes: tuple[str, ...]
    homes: tuple[Home, ...]
    some: bool = False


def layout(root: Path, names: tuple[str, ...] | None = None) -> Layout:
    """Return the classes of `root`, sorted by name, or `names`, of which it need not hold all.

    Raises:
        UserError: no folder, no classes or one alone, a part whose classes are not those of train, a folder that is
            none of the names.
    """
    tops = _folders(root)
    if not tops:
        raise UserError(f"dataset.root={root} holds no folders: {LAYOUT}")
    if names is not None:
        return _named(root, tops, names)
    if set(tops) <= set(PARTS):
        return _divided(root, tops)
    homes = tuple(Home("", label, root / name) for label, name in enumerate(tops))
    return Layout(root, _several(root, tops), homes)


def _named(root: Path, tops: list[str], names: tuple[str, ...]) -> Layout:
    """Find those of the named classes that are there; without train there must be the other two parts."""
    parts = [(PARTS[top], root / top) for top in tops] if set(tops) <= set(PARTS) else [("", root)]
    _distinct(root, tops if parts[0][0] else [])
    there = {part for part, _ in parts}
    if there < {"validation", "test"}:
        raise UserError(f"dataset.root={root} holds {tops[0]} alone: without train it needs val and test")
    labels, homes = {name: label for label, name in enumerate(names)}, []
    for part, folder in parts:
        for name in _folders(folder):
            if name not in labels:
                raise UserError(f"{folder} holds {name!r}, which is none of dataset.class_names")
            homes.append(Home(part, labels[name], folder / name))
    return Layout(root, _several(root, list(names)), tuple(homes), some=True)


def _distinct(root: Path, tops: list[str]) -> None:
    if len({PARTS[top] for top in tops}) < len(tops):
        raise UserError(f"dataset.root={root} holds both val and validation: keep one of them")


def _divided(root: Path, tops: list[str]) -> Layout:
    if "train" not in tops:
        raise UserError(f"dataset.root={root} holds {' and '.join(tops)}, but no train: {LAYOUT}")
    _distinct(root, tops)
    classes = _folders(root / "train")
    for top in tops:
        found = set(_folders(root / top))
        if added := sorted(found - set(classes)):
            raise UserError(f"{root / top} holds the class {added[0]!r}, which {root / 'train'} does not")
        if lacking := sorted(set(classes) - found):
            raise UserError(f"{root / top} holds nothing of the class {lacking[0]!r}")
    homes = [Home(PARTS[top], label, root / top / name) for top in tops for label, name in enumerate(classes)]
    return Layout(root, _several(root / "train", classes), tuple(homes))


def _several(folder: Path, classes: list[str]) -> tuple[str, ...]:
    if len(classes) < 2:
        told = f"one class only, {classes[0]!r}" if classes else "no class"
        raise UserError(f"{folder} holds {told}: a classifier needs two, a folder each")
    for name in classes:
        if not name.isprintable():
            raise UserError(f"{folder}: the class {name!r} has no printable name: rename its folder")
    return tuple(classes)


def _folders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in _entries(folder) if _is_folder(entry))


def files(home: Path, root: Path) -> Iterator[Path]:
    """Yield every file below `home`, by name, through links.

    Raises:
        UserError: a folder that can't be read, or a link that leads back to a folder it lies in.
    """
    above = [root, *(folder for folder in reversed(home.parents) if root in folder.parents)]
    yield from _walk(home, frozenset(map(_identity, above)))


def below(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder that need not be one of classes, as `files` does."""
    yield from _walk(folder, frozenset())


def _walk(folder: Path, above: frozenset[Identity]) -> Iterator[Path]:
    identity = _identity(folder)
    if identity in above:
        raise UserError(f"{folder} leads back to a folder that it lies in: links in a circle")
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        if _is_folder(entry):
            yield from _walk(folder / entry.name, above | {identity})
        else:
            yield folder / entry.name


def _identity(folder: Path) -> Identity:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        found = list(os.scandir(folder))
    except FileNotFoundError:
        raise UserError(f"dataset.root={folder} is not there") from None
    except NotADirectoryError:
        raise UserError(f"dataset.root={folder} is no folder: {LAYOUT}") from None
    except OSError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}") from None
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in IGNORED]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise UserError(f"{entry.path} can't be followed: {error.strerror}") from None
