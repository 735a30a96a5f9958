"""An option's file together with those it takes in, read without composing: for completion, conformance and docs.

An option takes in a base by the line `- /base/NAME@_here_` of its defaults list, and another option of its own folder
by the line `- NAME`, before `_self_`. What it takes in may take in files of its own.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.config.search_path import find_config_file, list_search_folders, read_config_text
from convarium.errors import UserError

DEFAULTS_LIST = re.compile(r"^defaults:(.*(?:\n(?: |-|#|$).*)*)", re.MULTILINE)
BASE_ENTRY = re.compile(r"/(base/[\w/]+)@_here_")
SIBLING_ENTRY = re.compile(r"[A-Za-z][\w/]*")
TERM_ENTRY = re.compile(r"/term@(\w+): *(\w+)")
HERE = "_here_"


def list_inherited_files(path: Path) -> list[Path]:
    """Return the file of an option and those that it takes in, each before the files that it overrides.

    Raises:
        UserError: a file can't be read, or is not UTF-8.
    """
    files: list[Path] = []
    _collect_files(path, files)
    return files


def list_taken_terms(path: Path) -> dict[str, Path]:
    """Return the files of the terms of the loss that an option takes in, by the key under which its values lie.

    The key is `_here_` where they lie beside the option's own.
    """
    terms: dict[str, Path] = {}
    for file in list_inherited_files(path):
        for entry in _list_defaults(file):
            match = TERM_ENTRY.fullmatch(entry)
            term = find_config_file("conf", f"term/{match[2]}") if match else None
            if match and term:
                terms.setdefault(match[1], term)
    return terms


def read_option(path: Path) -> dict[str, Any]:
    """Return what the file of an option and those it takes in set, the option's own keys first.

    A mapping merges key by key, any other value replaces the base's, as in Hydra. `defaults` is the option's own.

    Raises:
        UserError: a file can't be read, is not UTF-8, or holds no keys and values.
    """
    import yaml  # takes longer than a completion may, which reads no values

    option: dict[str, Any] = {}
    for file in list_inherited_files(path):
        try:
            values = yaml.safe_load(read_config_text(file)) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f" line {mark.line + 1}" if mark else ""
            raise UserError(f"{file}{place}: no YAML: {getattr(error, 'problem', None) or 'unreadable'}") from None
        if not isinstance(values, dict):
            raise UserError(f"{file} holds {values!r}, expected keys and values")
        _add_missing_keys(option, values)
    return option


def _collect_files(path: Path, files: list[Path]) -> None:
    if path in files:
        return  # a circle, which Hydra refuses when it composes
    files.append(path)
    for entry in reversed(_list_defaults(path)):  # of two the later one overrides, as in Hydra
        taken = _find_taken_file(path, entry)
        if taken is not None:
            _collect_files(taken, files)


def _list_defaults(path: Path) -> list[str]:
    """Return the entries of a file's defaults list, as they are written."""
    match = DEFAULTS_LIST.search(read_config_text(path))
    if match is None:
        return []
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in match[1].splitlines()]
    entries = re.split(r"[\[\],\n]", "\n".join(line.removeprefix("- ") for line in lines))
    return [entry.strip() for entry in entries if entry.strip()]


def _find_taken_file(path: Path, entry: str) -> Path | None:
    base = BASE_ENTRY.fullmatch(entry)
    if base:
        return find_config_file("conf", base[1])
    if not SIBLING_ENTRY.fullmatch(entry):
        return None
    for folder in list_search_folders("conf"):
        if path.is_relative_to(folder):
            return find_config_file("conf", f"{path.parent.relative_to(folder)}/{entry}")
    return None


def _add_missing_keys(values: dict[str, Any], base: Mapping[str, Any]) -> None:
    for key, value in base.items():
        if key not in values:
            values[key] = value
        elif isinstance(values[key], dict) and isinstance(value, Mapping):
            _add_missing_keys(values[key], value)
