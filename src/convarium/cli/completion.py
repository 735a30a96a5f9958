"""Completion: sub-commands, options, keys, group options with their sub-folders, and the inside of [..] lists.

`eval "$(convarium --completion bash)"` (zsh: after `autoload bashcompinit && bashcompinit`). It asks the
commands' parsers for their options, lists folders and reads the first letters of lines; nothing is composed.
"""

import re
from dataclasses import fields

from convarium.cli import COMMANDS, import_command
from convarium.config.option_file import list_inherited_files
from convarium.config.override import Override
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig
from convarium.config.search_path import (
    list_config_groups,
    list_config_names,
    list_group_options,
    list_search_folders,
    read_config_text,
)

BASH_SCRIPT = r"""_convarium() {
  local line="${COMP_LINE:0:$COMP_POINT}" cut reply
  local word="${line##* }"
  cut="${word%"${2-${word##*[=:]}}"}"  # what bash leaves as it stands: up to the last = or :, but within quotes
  cut="${cut#[\"\']}"
  COMPREPLY=()
  while IFS= read -r reply; do COMPREPLY+=("${reply#"$cut"}"); done < <(convarium --complete "$line" 2>/dev/null)
}
complete -o nospace -o default -F _convarium convarium
"""
KNOB_LINE = re.compile(r"^([a-z]\w*):", re.MULTILINE)


def complete_line(line: str) -> list[str]:
    """Return what the last word of a command line could become; what ends with a space is a whole word."""
    *before, word = line.split(" ")
    word = word.lstrip("'\"")
    words = [text for text in before[1:] if text]
    if "=" in word:
        return _complete_value(Override(word).key, Override(word).value)
    if not words:
        found = [f"{name} " for name in (*COMMANDS, "--help", "--version", "--completion")]
    elif word.startswith("-"):
        found = [f"{name} " for name in _list_options(words[0])]
    elif words == ["store"]:
        found = ["merge "]
    else:
        found = [f"{name}=" for name in (*list_config_groups(), "seed", "sweep")] + _list_override_keys(words)
    return sorted(name for name in found if name.startswith(word))


def _list_options(command: str) -> list[str]:
    """Return the options that a command's own parser takes."""
    if command not in COMMANDS:
        return []
    options: list[str] = import_command(command).build_parser().list_options()
    return options


def _complete_value(key: str, typed: str) -> list[str]:
    """Return the options of a group, after the last comma or bracket, by the start of their whole or last name."""
    names = (
        sorted({name for folder in list_search_folders("sweeps") for name in list_config_names(folder)})
        if key == "sweep"
        else []
    )
    names = list_group_options(key) if key in list_config_groups() else names
    place = max(typed.rfind(mark) for mark in "[,") + 1
    given, start = typed[:place], typed[place:]
    end = "" if given.count("[") > given.count("]") else " "
    found = [name for name in names if name.startswith(start) or name.rpartition("/")[2].startswith(start)]
    return [f"{key}={given}{name}{end}" for name in found if name not in re.split(r"[\[,]", given)]


def _list_override_keys(words: list[str]) -> list[str]:
    """Return the keys below the closed groups, and the knobs of the methods that are chosen on the line."""
    schema = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}
    keys = [f"{name}.{field.name}=" for name, group in schema.items() for field in fields(group)]
    return keys + [f"compression.{knob}=" for method in _find_chosen_methods(words) for knob in _read_knob_keys(method)]


def _find_chosen_methods(words: list[str]) -> list[str]:
    text = ",".join(Override(word).value for word in words if Override(word).key == "compression")
    lasts = {name.rpartition("/")[2] for name in re.split(r"[\[\],]", text)}
    return [name for name in list_group_options("compression") if name.rpartition("/")[2] in lasts - {"none"}]


def _read_knob_keys(method: str) -> list[str]:
    path = next(
        path for folder in list_search_folders("conf") if (path := folder / f"compression/{method}.yaml").is_file()
    )
    texts = [read_config_text(file) for file in list_inherited_files(path)]
    names = {name for text in texts for name in KNOB_LINE.findall(text)}
    return [f"{method.rpartition('/')[2]}.{name}" for name in names if name not in ("method", "version", "phases")]
