"""Shell completion of sub-commands, options and their values, keys and their values, signatures; bash and zsh.

`eval "$(convarium --completion bash)"`. It asks the commands' parsers for their options, lists folders and reads the
first letters of lines; nothing is composed. Where nothing is found the shell completes names of files.
"""

import re
from collections.abc import Iterable
from dataclasses import fields

from convarium.cli.commands import COMMANDS, import_command
from convarium.cli.completion_values import list_key_values, list_option_values, list_signatures
from convarium.cli.search_completion import list_search_keys, list_search_values
from convarium.config.option_description import SEARCH_PURPOSES
from convarium.config.option_file import list_inherited_files
from convarium.config.override import Override
from convarium.config.schema import CLOSED_GROUPS, ArchitectureConfig, DatasetConfig
from convarium.config.search_path import (
    list_config_groups,
    list_group_options,
    list_search_folders,
    read_config_text,
)

KNOB_LINE = re.compile(r"^([a-z]\w*):", re.MULTILINE)
NOT_KNOBS = ("defaults", "method", "version", "phases")
# What the first words of a command are, where they are no overrides.
FIRST_WORDS = {
    "show": ("signature",),
    "diff": ("signature", "signature"),
    "export": ("signature",),
    "verify": ("file", "signature"),
    "measure": ("file",),
    "adopt": ("file",),
    "store": ("action", "file"),
    "options": ("option",),
}
OPTIONAL_FIRST_WORDS = {"inspect": ("signature",)}
# Which groups a command takes overrides of; any other command takes all.
GROUPS_OF_COMMANDS = {
    **dict.fromkeys(("show", "diff", "gc", "store"), ("runtime",)),
    **dict.fromkeys(("export", "verify"), ("runtime", "dataset")),
    "options": (),
}


def complete_line(line: str) -> list[str]:
    """Return the possible completions of a command line's last word; one that ends with a space is a whole word."""
    *previous_texts, word = line.split(" ")
    word = re.sub(r"\\(.)", r"\1", word.lstrip("'\""))  # as zsh quotes what it has inserted
    arguments = [text for text in previous_texts[1:] if text]
    if not arguments:
        return _select([f"{name} " for name in (*COMMANDS, "help", "--help", "--version", "--completion")], word)
    values = _list_option_values(arguments, word)
    if values is not None:
        return values
    if word.startswith("-"):
        return _select([f"{name} " for name in _list_options(arguments[0])], word)
    if "=" in word:
        return _complete_value(Override(word).key, Override(word).value, arguments)
    return _select(_list_words(arguments, word), word)


def _select(candidates: Iterable[str], start: str) -> list[str]:
    return sorted({candidate for candidate in candidates if candidate.startswith(start)})


def _list_options(command: str) -> list[str]:
    """Return the options that a command's own parser takes."""
    if command not in COMMANDS:
        return []
    options: list[str] = import_command(command).build_parser().list_options()
    return options


def _list_option_values(arguments: list[str], word: str) -> list[str] | None:
    """Return the completions of an option's value (`--format on`, `--format=on`); None where the word is none."""
    option, has_value, start = word.partition("=")
    prefix = f"{option}="
    if not (word.startswith("-") and has_value):
        option, prefix, start = arguments[-1], "", word
    if not option.startswith("-") or arguments[0] not in COMMANDS:
        return None
    action = import_command(arguments[0]).build_parser().find_action(option)
    if action is None or action.nargs == 0:
        return None
    return _select([f"{prefix}{value} " for value in list_option_values(option, action)], prefix + start)


def _list_words(arguments: list[str], word: str) -> list[str]:
    """Return what may stand next: a signature or a word of the command, else keys."""
    command, *texts = arguments
    typed = [text for text in texts if "=" not in text and not text.startswith("-")]
    kinds = FIRST_WORDS.get(command, OPTIONAL_FIRST_WORDS.get(command, ()))
    kind = kinds[len(typed)] if len(typed) < len(kinds) else ""
    if command == "help":
        return [f"{name} " for name in COMMANDS]
    words = _list_words_of_kind(kind, arguments, word)
    is_due = kind and command in FIRST_WORDS and len(typed) == 0
    return words if is_due else [*words, *_list_keys(arguments)]


def _list_words_of_kind(kind: str, arguments: list[str], word: str) -> list[str]:
    if kind == "signature":
        return [f"{signature} " for signature in list_signatures(arguments)]
    if kind == "action":
        return ["merge "]
    if kind == "option":
        group, has_name, _ = word.partition("/")
        if group == "search" and "/" in word[len("search/") :]:
            group = "/".join(word.split("/")[:2])
        known = group in list_config_groups() or group in SEARCH_PURPOSES
        names = list_group_options(group) if has_name and known else []
        search_words = ["search ", *(f"{group}" for group in SEARCH_PURPOSES)]
        return [*list_config_groups(), *search_words, *(f"{group}/{name} " for name in names)]
    return []  # names of files are the shell's


def _list_keys(arguments: list[str]) -> list[str]:
    """Return the groups and keys that a command takes, and the knobs of the methods that are chosen on the line."""
    groups = GROUPS_OF_COMMANDS.get(arguments[0])
    schema = {**CLOSED_GROUPS, "architecture": ArchitectureConfig, "dataset": DatasetConfig}
    keys = [f"{name}.{field.name}=" for name, group in schema.items() for field in fields(group)]
    if groups is not None:
        return [key for key in keys if key.partition(".")[0] in groups]
    keys += [f"{name}=" for name in (*list_config_groups(), "seed", "sweep")]
    if arguments[0] == "search":
        keys += list_search_keys(arguments[1:])
    for method in _find_chosen_methods(arguments):
        keys += [f"compression.{knob}=" for knob in _read_knob_keys(method)]
    return keys


def _complete_value(key: str, typed: str, arguments: list[str]) -> list[str]:
    """Complete the last of the typed values of a key, by the start of its whole or its last name."""
    is_of_search = Override(key).group.partition("/")[0] == "search"
    names = list_search_values(key) if is_of_search else list_key_values(key, arguments)
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
