"""An option's file together with those of its bases, read without composing: for completion, conformance and docs.

An option takes in a base by the line `- /base/NAME@_here_` of its defaults list, before `_self_`. A base may have
bases of its own.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from convarium.config.search_path import find_config_file, read_config_text

BASE_LINE = re.compile(r"^ *- /(base/[\w/]+)@_here_ *(?:#.*)?$", re.MULTILINE)


def list_inherited_files(path: Path) -> list[Path]:
    """Return the file of an option and those of its bases, each before the files that it overrides.

    Raises:
        UserError: a file can't be read, or is not UTF-8.
    """
    files = [path]
    names = BASE_LINE.findall(read_config_text(path))
    for name in reversed(names):  # of two bases the later one overrides, as in Hydra
        base = find_config_file("conf", name)
        if base is not None:
            files += list_inherited_files(base)
    return files


def read_option(path: Path) -> dict[str, Any]:
    """Return what the file of an option and its bases set, the option's own keys first.

    A mapping merges key by key, any other value replaces the base's, as in Hydra. `defaults` is the option's own.

    Raises:
        UserError: a file can't be read, or is not UTF-8.
    """
    import yaml  # takes longer than a completion may, which reads no values

    option: dict[str, Any] = {}
    for file in list_inherited_files(path):
        _add_missing_keys(option, yaml.safe_load(read_config_text(file)) or {})
    return option


def _add_missing_keys(values: dict[str, Any], base: Mapping[str, Any]) -> None:
    for key, value in base.items():
        if key not in values:
            values[key] = value
        elif isinstance(values[key], dict) and isinstance(value, Mapping):
            _add_missing_keys(values[key], value)
