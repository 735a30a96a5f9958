"""Shell completion of sub-commands, options, keys, options of groups with their folders, and lists in [..].

`eval "$(convarium --completion bash)"` (zsh: after `autoload bashcompinit && bashcompinit`). It asks the
commands' parsers for their options, lists folders and reads the first letters of lines; nothing is composed.
"""

import re
from dataclasses import fields

from convarium.cli.commands import COMMANDS, import_command
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
NOT_KNOBS = ("defaults", "method", "version", "phases")


def complete_line(line: str) -> list[str]:
    """Return the possible completions of a command line's last word; one that ends with a space is a whole word."""
    *previous_texts, word = line.split(" ")
    word = word.lstrip("'\"")
    arguments = [text for text in previous_texts[1:] if text]
    if "=" in word:
        return _complete_value(Override(word).key, Override(word).value)
    if not arguments:
        candidates = [f"{name} " for name in (*COMMANDS, "--help", "--version", "--completion")]
    elif word.startswith("-"):
        candidates = [f"{name} " for name in _list_options(arguments[0])]
    elif arguments == ["store"]:
        candidates = ["merge "]
    else:
        candidates = [f"{name}=" for name in (*list_config_groups(), "seed", "sweep")]
        candidates += _list_override_keys(arguments)
    return sorted(candidate for candidate in candidates if candidate.startswith(word))


def _list_options(command: str) -> list[str]:
    """Return the options that a command's own parser takes."""
    if command not in COMMANDS:
        return []
    options: list[str] = import_command(command).build_parser().list_options()
    return options


def _complete_value(key: str, typed: str) -> list[str]:
    """Complete the last of the typed values of a group or of `sweep`, by the start of its whole or its last name."""
    names: list[str] = []
    if key == "sweep":
        names = sorted({name for folder in list_search_folders("sweeps") for name in list_config_names(folder)})
    elif key in list_config_groups():
        names = list_group_options(key)
    start_index = max(typed.rfind("["), typed.rfind(",")) + 1
    before, start = typed[:start_index], typed[start_index:]
    is_in_list = before.count("[") > before.count("]")
    end = "" if is_in_list else " "
    chosen = re.split(r"[\[,]", before)
    return [
        f"{key}={before}{name}{end}"
        for name in names
        if name not in chosen and (name.startswith(start) or name.rpartition("/")[2].startswith(start))
    ]


def _list_override_keys(arguments: list[str]) -> list[str]:
    """Return the keys of all groups, and the knobs of the methods that are chosen on the line."""
    schema = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}
    keys = [f"{name}.{field.name}=" for name, group in schema.items() for field in fields(group)]
    for method in _find_chosen_methods(arguments):
        keys += [f"compression.{knob}=" for knob in _read_knob_keys(method)]
    return keys


def _find_chosen_methods(arguments: list[str]) -> list[str]:
    chosen = ",".join(Override(text).value for text in arguments if Override(text).key == "compression")
    short_names = {name.rpartition("/")[2] for name in re.split(r"[\[\],]", chosen)} - {"none"}
    return [name for name in list_group_options("compression") if name.rpartition("/")[2] in short_names]


def _read_knob_keys(method: str) -> list[str]:
    path = next(
        path for folder in list_search_folders("conf") if (path := folder / f"compression/{method}.yaml").is_file()
    )
    texts = [read_config_text(file) for file in list_inherited_files(path)]
    names = {name for text in texts for name in KNOB_LINE.findall(text)}
    short_name = method.rpartition("/")[2]
    return [f"{short_name}.{name}" for name in names if name not in NOT_KNOBS]
