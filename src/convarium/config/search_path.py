"""The search path of configs and sweeps: the user's ./conf and ./sweeps, those of installed packages, ours.

A package contributes its folders `conf` and `sweeps` by an entry point of the group `convarium.conf`, whose value is
its name. Only folders and files are listed: no package is imported, nothing is composed.
"""

import re
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from os.path import lexists
from pathlib import Path

from convarium.config.messages import suggest_nearest
from convarium.config.suggestions import suggest_option
from convarium.errors import UserError

INCLUDED_GROUPS = ("base", "term")  # what files of options take in; nobody chooses one
INTERNAL_GROUPS = ("hydra", "search", *INCLUDED_GROUPS)  # no group of a point
ENTRY_POINT_GROUP = "convarium.conf"
SHADOWING_HINT = "{} of this folder is used in place of ours"
PACKAGE_FOLDER = Path(__file__).resolve().parents[1]


def find_builtin_folder(name: str) -> Path:
    """Return our folder `name` ("conf" or "sweeps"): inside the package (wheel), else in the source checkout."""
    wheel_folder = PACKAGE_FOLDER / name
    if wheel_folder.is_dir():
        return wheel_folder
    return PACKAGE_FOLDER.parents[1] / name


def list_search_folders(name: str) -> list[Path]:
    """Return the folders `name` that are searched, the user's own first, ours last."""
    package_folders = [package / name for package in _list_package_folders()]
    existing_folders = [folder for folder in package_folders if folder.is_dir()]
    return [*_list_user_folders(name), *existing_folders, find_builtin_folder(name)]


def _list_user_folders(name: str) -> list[Path]:
    """Return the folder `name` of the working folder in a list, which is empty where there is none."""
    user_folder = Path.cwd() / name
    if not user_folder.is_dir() or user_folder.resolve() == find_builtin_folder(name).resolve():
        return []  # in a source checkout ./conf is ours
    return [user_folder]


@cache
def _list_package_folders() -> list[Path]:
    """Return the folders of the installed packages that contribute, by name."""
    from importlib.metadata import entry_points

    packages = sorted({entry.value for entry in entry_points(group=ENTRY_POINT_GROUP)})
    return [folder for package in packages for folder in _find_package_folders(package)]


def _find_package_folders(package: str) -> list[Path]:
    spec = find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"the entry point {ENTRY_POINT_GROUP} = {package!r} of an installed package names no package")
    return [Path(folder) for folder in spec.submodule_search_locations]


@cache
def list_config_groups() -> list[str]:
    """Return the names of the config groups."""
    folders = [path.name for path in find_builtin_folder("conf").iterdir() if path.is_dir()]
    return sorted(name for name in folders if name not in INTERNAL_GROUPS)


def list_config_names(folder: Path) -> list[str]:
    """Return the names below `folder`, such as "cross_layer/resnet20"."""
    return sorted(str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml"))


def find_config_file(folder: str, name: str) -> Path | None:
    """Return the first file of a name such as "recipe/adam" in the folders `folder`, None where there is none."""
    for search_folder in list_search_folders(folder):
        path = search_folder / f"{name}.yaml"
        if lexists(path):  # a broken link too: reading it says what is wrong
            return path
    return None


def read_config_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: it can't be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path} line {line} is not UTF-8: save the file in that encoding") from None


def list_group_options(group: str) -> list[str]:
    """Return the full names of a group's options, ours and the user's."""
    return _list_options_in(group, tuple(list_search_folders("conf")))


# Cached by the folders too: ./conf is another one after a change of the working folder.
@cache
def _list_options_in(group: str, folders: tuple[Path, ...]) -> list[str]:
    return sorted({name for folder in folders for name in list_config_names(folder / group)})


def list_shadowing_files() -> list[str]:
    """Return the files of the user's ./conf that are taken for an option of ours, by its whole name or a short one.

    Such as "recipe/adam", "architecture/lenet5" (of ours basic/lenet5), "hydra/launcher/local".
    """
    return [name for folder in _list_user_folders("conf") for name in _list_shadowing_in(folder)]


@cache
def _list_shadowing_in(user_folder: Path) -> list[str]:
    shadowing_names = []
    for group in (*list_config_groups(), *INCLUDED_GROUPS, "hydra/launcher"):
        builtin_names = list_config_names(find_builtin_folder("conf") / group)
        for name in list_config_names(user_folder / group):
            if any(f"/{builtin_name}".endswith(f"/{name}") for builtin_name in builtin_names):
                shadowing_names.append(f"{group}/{name}")
    return shadowing_names


def add_shadowing_hint(line: str, used: Collection[str | None] | None = None) -> str:
    """Return an error line, followed by the user's files that replace ours where the mistake may be in them.

    Args:
        used: the options that were composed, None if that is not known.
    """
    group = re.split(r"[.:/= ]", line.removeprefix("In '"), maxsplit=1)[0]
    names = [name for name in list_shadowing_files() if used is None or name in used]
    if group in list_config_groups():
        names = [name for name in names if name.partition("/")[0] in (group, *INCLUDED_GROUPS)]
    files = [f"conf/{name}.yaml" for name in names if f"{name}.yaml" not in line]
    if not files:
        return line
    return f"{line.rstrip('.')}; {SHADOWING_HINT.format(' and '.join(files))}"


def resolve_full_name(kind: str, name: str, known: list[str]) -> str:
    """Return the whole name of `name`, which may be only its last parts.

    Raises:
        UserError: no name ends so, or more than one.
    """
    if name in known:
        return name
    matches = [option for option in known if option.endswith(f"/{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UserError(f"{kind}={name} could be {' or '.join(matches)}; write the whole name")
    hint = suggest_option(kind, name, known) or suggest_nearest(name, known)
    raise UserError(f"{kind}={name}: no such {kind}{hint}")
