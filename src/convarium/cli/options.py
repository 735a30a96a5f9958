"""`convarium options [GROUP[/NAME]]`: what can be chosen, and what each key means, its default and its range."""

import sys
from collections.abc import Sequence
from itertools import groupby
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from convarium.cli.command_parser import CommandParser
from convarium.config.messages import suggest_nearest
from convarium.config.search_path import (
    find_config_file,
    list_group_options,
    resolve_full_name,
)
from convarium.errors import UserError

if TYPE_CHECKING:
    from convarium.config.option_description import OptionDescription

Json = dict[str, Any]
PIPED_WIDTH = 120
DESCRIPTION = """Show what can be chosen and what each key means; those of your own ./conf as well.

  convarium options                        the groups
  convarium options compression            the options of a group; architecture/basic: of a section of it
  convarium options compression/magnitude  the keys of an option: default, range and meaning; short names will do
  convarium options search                 the keys of a search; search/strategy: the options of a group of it
"""


def build_parser() -> CommandParser:
    """Return the parser of the command's options."""
    parser = CommandParser("options", DESCRIPTION)
    parser.usage = "convarium options [GROUP[/NAME]] [--json]"
    parser.add_argument("--json", action="store_true", help="one JSON document")
    return parser


def main(argv: Sequence[str]) -> int:
    """Show the groups, the options of a group, or the keys of an option."""
    options = build_parser().parse_intermixed_args(argv)
    if len(options.overrides) > 1:
        raise UserError(f"options takes one GROUP or GROUP/NAME, not {' '.join(options.overrides)}")
    asked = "".join(options.overrides)
    if asked == "search":
        from convarium.config.option_description import describe_search

        described = describe_search()
        _print(_option_document("", described) if options.json else _format_option("", described))
        return 0
    group, name = _parse_asked(asked)
    if name.endswith("/"):
        _print(_group_document(group, name) if options.json else _format_group(group, name))
    elif name:
        from convarium.config.option_description import describe_option

        described = describe_option(group, name)
        _print(_option_document(group, described) if options.json else _format_option(group, described))
    elif group:
        _print(_group_document(group) if options.json else _format_group(group))
    else:
        _print(_groups_document() if options.json else _format_groups())
    return 0


def _parse_asked(text: str) -> tuple[str, str]:
    """Return the group and the whole name of the option that are asked for, each empty where there is none.

    A name that ends with a slash is that of a section.

    Raises:
        UserError: no such group or option.
    """
    text = text.replace("=", "/", 1)  # as a choice is typed elsewhere
    groups = _list_purposes()
    group, name = _split_group(text)
    if group and group not in groups:
        return _find_option_anywhere(text)
    if not name:
        return group, ""
    known = list_group_options(group)
    if name not in known and any(option.startswith(f"{name.rstrip('/')}/") for option in known):
        return group, f"{name.rstrip('/')}/"
    return group, resolve_full_name(group, name, known)


def _list_purposes() -> dict[str, str]:
    """Return what each group chooses, those of a search last."""
    from convarium.config.option_description import GROUP_PURPOSES, SEARCH_PURPOSES

    return {**GROUP_PURPOSES, **SEARCH_PURPOSES}


def _split_group(text: str) -> tuple[str, str]:
    """Return a group, whose name may have a slash, and what follows it."""
    parts = text.split("/")
    count = 2 if parts[0] == "search" else 1
    return "/".join(parts[:count]), "/".join(parts[count:])


def _find_option_anywhere(text: str) -> tuple[str, str]:
    """Return the group and whole name of an option that was asked for without its group."""
    groups = _list_purposes()
    matches = [
        (group, name)
        for group in groups
        for name in list_group_options(group)
        if name == text or name.endswith(f"/{text}")
    ]
    if not matches:
        raise UserError(f"options {text}: no such group or option{suggest_nearest(text, groups)}")
    if len(matches) > 1:
        names = " or ".join(f"{group}/{name}" for group, name in matches)
        raise UserError(f"options {text} could be {names}; write the whole name")
    return matches[0]


def _groups_document() -> Json:
    from convarium.config.option_description import find_default_option

    groups = [
        {
            "group": group,
            "purpose": purpose,
            "default": find_default_option(group),
            "options": list_group_options(group),
        }
        for group, purpose in _list_purposes().items()
    ]
    return {"groups": groups}


def _format_groups() -> list[str]:
    rows = [(group, str(len(list_group_options(group))), purpose) for group, purpose in _list_purposes().items()]
    lines = _format_columns([("group", "options", "what it chooses"), *rows])
    return [
        *lines,
        "",
        "seed=0,1,2 and sweep=NAME stand beside them; search/… and search.trials (convarium options search) are of",
        "`convarium search`. The options of a group: convarium options GROUP",
    ]


def _group_document(group: str, section: str = "") -> Json:
    from convarium.config.option_description import find_default_option

    options = [{"name": name, "head": head} for name, head in _list_heads(group, section)]
    return {
        "group": group,
        "purpose": _list_purposes()[group],
        "default": find_default_option(group),
        "options": options,
    }


def _format_group(group: str, section: str = "") -> list[str]:
    from convarium.config.option_description import find_default_option

    lines = [f"{group}: {_list_purposes()[group]}", f"without a choice: {group}={find_default_option(group)}"]
    heads = _list_heads(group, section)
    for part, options in groupby(heads, key=lambda option: option[0].rpartition("/")[0]):
        rows = [(name.rpartition("/")[2], _format_first_line(head)) for name, head in options]
        lines += ["", *([f"{part}/"] if part else []), *_format_columns(rows, indent="  ")]
    return [*lines, "", f"The keys of an option: convarium options {group}/NAME"]


def _format_first_line(head: Sequence[str]) -> str:
    if not head:
        return ""
    is_whole = len(head) == 1 or head[0].endswith((".", ";"))
    return head[0] if is_whole else f"{head[0]} …"


def _list_heads(group: str, section: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return each option of a group, or of a section of it, with the lines at the head of its file."""
    from convarium.config.option_description import read_head

    names = [name for name in list_group_options(group) if name.startswith(section)]
    names.sort(key=lambda name: ("/" in name, name))  # those in no section first
    paths = {name: find_config_file("conf", f"{group}/{name}") for name in names}
    return [(name, read_head(path)) for name, path in paths.items() if path is not None]


def _option_document(group: str, option: "OptionDescription") -> Json:
    keys = [
        {
            "key": f"{option.prefix}.{key.key}",
            "default": key.default,
            "required": key.default is None,
            "values": key.rule,
            "meaning": key.comment,
        }
        for key in option.keys
    ]
    return {
        "group": group,
        "name": option.name,
        "file": str(option.path),
        "head": list(option.head),
        "keys": keys,
        "notes": list(option.notes),
    }


def _format_option(group: str, option: "OptionDescription") -> list[str]:
    title = f"{group}={option.name}" if group else option.name
    lines = [title, *_fill(" ".join(option.head), "  ")]
    if option.keys:
        lines += ["", *_format_keys(option)]
    if option.notes:
        lines += ["", *_fill(" ".join(option.notes), "")]
    return [*lines, "", f"file: {option.path}"]


def _format_keys(option: "OptionDescription") -> list[str]:
    lines = []
    for key in option.keys:
        default = "  (must be given)" if key.default is None else f"={key.default}"
        lines.append(f"{option.prefix}.{key.key}{default}")
        meaning = f"{key.rule}: {key.comment}" if key.comment else key.rule
        lines += _fill(meaning, "    ")
    return lines


def _format_columns(rows: Sequence[tuple[str, ...]], indent: str = "") -> list[str]:
    """Return rows as lines, the last column folded where the terminal is too narrow for it."""
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    lines = []
    for *texts, last in rows:
        start = indent + "".join(text.ljust(width + 2) for text, width in zip(texts, widths, strict=True))
        room = max(_find_width() - len(start), 30)
        first, *others = wrap(last, room, break_on_hyphens=False) or [""]
        lines += [(start + first).rstrip(), *(" " * len(start) + text for text in others)]
    return lines


def _fill(text: str, indent: str) -> list[str]:
    return wrap(text, _find_width(), initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)


def _find_width() -> int:
    return get_terminal_size().columns if sys.stdout.isatty() else PIPED_WIDTH


def _print(content: Json | list[str]) -> None:
    from convarium.cli import output

    if isinstance(content, dict):
        output.print_json(content)
    else:
        print("\n".join(content))
