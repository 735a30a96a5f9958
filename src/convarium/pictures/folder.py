"""Where the pictures lie: `<root>/<class>/…`, or divided as `<root>/{train,val,test}/<class>/…`, however spelt."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from convarium.errors import UserError

SPELLINGS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "validate", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
PARTS = {spelling: part for part, spellings in SPELLINGS.items() for spelling in spellings}
WHAT_IS_IN_IT = re.compile(r"[\W_]*(set|split|data|images|pictures)$")  # "training_set", "Test Images", "trainset"
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
        UserError: no folder, no classes or one alone, a split that can't be used, a part whose classes are not those of
            train, a folder that is none of the names.
    """
    tops = _folders(root)
    if not tops:
        raise UserError(f"dataset.root={root} holds no folders: {LAYOUT}")
    if names is not None:
        return _named(root, tops, names)
    if _is_split(root, tops):
        return _divided(root, tops)
    for name in tops:
        _check_undivided(root / name)
    homes = tuple(Home("", label, root / name) for label, name in enumerate(tops))
    return Layout(root, _several(root, tops), homes)


def part_of(folder: str) -> str | None:
    """Return the part of a split (train, validation, test) that a folder's name stands for, in any case."""
    return PARTS.get(WHAT_IS_IN_IT.sub("", folder.casefold()))


def _is_split(root: Path, tops: list[str]) -> bool:
    """Whether the folders are the parts of a split; one such name among others is a class (CIFAR-100 has `train`).

    Raises:
        UserError: different parts of a split lie beside other folders, or one part is there twice.
    """
    parts = {top: part for top in tops if (part := part_of(top))}
    first_of = {part: top for top, part in reversed(parts.items())}
    if others := [top for top in tops if top not in parts]:
        if len(first_of) > 1:
            told = " and ".join(sorted(first_of.values()))
            raise UserError(f"dataset.root={root} holds {told}, parts of a split, beside {others[0]!r}: {LAYOUT}")
        return False
    for top, part in parts.items():
        if first_of[part] != top:
            raise UserError(f"dataset.root={root} holds both {first_of[part]} and {top}: keep one of them")
    return True


def _check_undivided(home: Path) -> None:
    """Refuse a class whose folder is divided into parts: its pictures would be mixed and split anew."""
    parts = {part: name for name in _folders(home) if (part := part_of(name))}
    if len(parts) > 1:
        told = " and ".join(sorted(parts.values()))
        raise UserError(f"{home} is divided into {told}: put them above the classes, as <root>/train/{home.name}/")


def _named(root: Path, tops: list[str], names: tuple[str, ...]) -> Layout:
    """Find those of the named classes that are there; without train there must be the other two parts."""
    are_classes = set(tops) <= set(names) and not any(_folders(root / top) for top in tops)
    is_split = not are_classes and _is_split(root, tops)
    parts = [(part_of(top) or "", root / top) for top in tops] if is_split else [("", root)]
    there = {part for part, _ in parts}
    if there < {"validation", "test"}:
        raise UserError(f"dataset.root={root} holds {tops[0]} alone: without train it needs val and test")
    labels, homes = {name: label for label, name in enumerate(names)}, []
    for part, folder in parts:
        for name in _folders(folder):
            if name not in labels:
                raise UserError(f"{folder} holds {name!r}, which is none of dataset.class_names")
            _check_undivided(folder / name)
            homes.append(Home(part, labels[name], folder / name))
    return Layout(root, _several(root, list(names)), tuple(homes), some=True)


def _divided(root: Path, tops: list[str]) -> Layout:
    parts = {top: part_of(top) or "" for top in tops}
    train = next((root / top for top in tops if parts[top] == "train"), None)
    if train is None:
        raise UserError(f"dataset.root={root} holds {' and '.join(tops)}, but no train: {LAYOUT}")
    classes = _folders(train)
    for top in tops:
        found = set(_folders(root / top))
        if added := sorted(found - set(classes)):
            raise UserError(f"{root / top} holds the class {added[0]!r}, which {train} does not")
        if lacking := sorted(set(classes) - found):
            raise UserError(f"{root / top} holds nothing of the class {lacking[0]!r}")
    homes = [Home(parts[top], label, root / top / name) for top in tops for label, name in enumerate(classes)]
    return Layout(root, _several(train, classes), tuple(homes))


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
        raise UserError(f"dataset.root={folder} is not a folder: {LAYOUT}") from None
    except OSError as error:
        raise UserError(f"{folder} can't be read: {error.strerror}") from None
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in IGNORED]


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        raise UserError(f"{entry.path} can't be followed: {error.strerror}") from None
