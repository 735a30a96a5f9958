"""Where configs and sweeps lie: the user's ./conf and ./sweeps, those of installed packages, ours. Only lists folders.

A package contributes its folders `conf` and `sweeps` by an entry point of the group `convarium.conf`, whose value is
its name; it is not imported for that.
"""

import re
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from os.path import lexists
from pathlib import Path

from convarium.config.messages import suggest_nearest
from convarium.errors import UserError

INCLUDED_GROUPS = ("base", "term")  # what files of options take in; nobody chooses one
INTERNAL_GROUPS = ("hydra", *INCLUDED_GROUPS)  # no group of a point
ENTRY_POINT_GROUP = "convarium.conf"
SHADOWING_HINT = "{} of this folder is used in place of ours"
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def find_builtin_folder(name: str) -> Path:
    """Return our folder `name` ("conf" or "sweeps"): inside the package (wheel), else in the source checkout."""
    inside = PACKAGE_FOLDER / name
    return inside if inside.is_dir() else PACKAGE_FOLDER.parents[1] / name


def list_search_folders(name: str) -> list[Path]:
    """Return the folders `name` that are searched, the user's own first, ours last."""
    return [
        *_list_user_folders(name),
        *(folder for package in _list_package_folders() if (folder := package / name).is_dir()),
        find_builtin_folder(name),
    ]


def _list_user_folders(name: str) -> list[Path]:
    users = Path.cwd() / name
    return [users] if users.is_dir() and users.resolve() != find_builtin_folder(name).resolve() else []


@cache
def _list_package_folders() -> list[Path]:
    """Return the folders of the installed packages that contribute, by name."""
    from importlib.metadata import entry_points

    named = sorted({entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)})
    return [folder for package in named for folder in _find_package_folders(package)]


def _find_package_folders(package: str) -> list[Path]:
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the entry point {ENTRY_POINT_GROUP} = {package!r} of an installed package names no package")
    return [Path(folder) for folder in spec.submodule_search_locations]


@cache
def list_config_groups() -> list[str]:
    """Return the names of the config groups."""
    return sorted(
        path.name
        for path in find_builtin_folder("conf").iterdir()
        if path.is_dir() and path.name not in INTERNAL_GROUPS
    )


def list_config_names(folder: Path) -> list[str]:
    """Return the names below `folder`, such as "cross_layer/resnet20"."""
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def find_config_file(folder: str, name: str) -> Path | None:
    """Return the first file of a name such as "recipe/adam" in the folders `folder`, a link that leads nowhere too."""
    return next((path for home in list_search_folders(folder) if lexists(path := home / f"{name}.yaml")), None)


def read_config_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: it can't be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path} line {line} is no UTF-8: save the file in that encoding") from None


def list_group_options(group: str) -> list[str]:
    """Return the full names a group offers, ours and the user's."""
    return _list_options_in(group, tuple(list_search_folders("conf")))


@cache
def _list_options_in(group: str, searched: tuple[Path, ...]) -> list[str]:
    return sorted({name for folder in searched for name in list_config_names(folder / group)})


def list_shadowing_files() -> list[str]:
    """Return the files of the user's ./conf that are taken for an option of ours, by its whole name or a short one.

    Such as "recipe/adam", "architecture/lenet5" (of ours basic/lenet5), "hydra/launcher/local".
    """
    return [name for folder in _list_user_folders("conf") for name in _list_shadowing_in(folder)]


@cache
def _list_shadowing_in(users: Path) -> list[str]:
    found = []
    for group in (*list_config_groups(), *INCLUDED_GROUPS, "hydra/launcher"):
        own = [f"/{name}" for name in list_config_names(find_builtin_folder("conf") / group)]
        found += [
            f"{group}/{name}"
            for name in list_config_names(users / group)
            if any(each.endswith(f"/{name}") for each in own)
        ]
    return found


def add_shadowing_hint(line: str, used: Collection[str | None] | None = None) -> str:
    """Return the line of a mistake, with the user's files that replace ours where it may be theirs.

    Args:
        used: the options that were composed, None if that is not known.
    """
    group = re.split(r"[.:/= ]", line.removeprefix("In '"), maxsplit=1)[0]
    found = [name for name in list_shadowing_files() if used is None or name in used]
    if group in list_config_groups():
        found = [name for name in found if name.partition("/")[0] in (group, *INCLUDED_GROUPS)]
    files = [f"conf/{name}.yaml" for name in found if f"{name}.yaml" not in line]
    return f"{line.rstrip('.')}; {SHADOWING_HINT.format(' and '.join(files))}" if files else line


def resolve_full_name(kind: str, name: str, known: list[str]) -> str:
    """Return the whole name of `name`, which may be given by its last parts only.

    Raises:
        UserError: nothing, or more than one thing, is called so.
    """
    if name in known:
        return name
    found = [option for option in known if option.endswith(f"/{name}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{kind}={name} could be {' or '.join(found)}; write the whole name")
    raise UserError(f"{kind}={name}: no such {kind}{suggest_nearest(name, known)}")
