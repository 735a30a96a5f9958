"""The pages of options: one for each group, as `convarium options` describes them."""

from collections.abc import Iterator

from cells import escaped

from convarium.config import search_path
from convarium.config.option_description import (
    GROUP_PURPOSES,
    SEARCH_PURPOSES,
    KeyDescription,
    OptionDescription,
    describe_option,
    find_default_option,
)

GROUPS = {
    **GROUP_PURPOSES,
    "term": "what a method adds to the loss while it trains: compression.METHOD.terms=[NAME]",
    **SEARCH_PURPOSES,
}
SECTION_TITLES = {
    "basic": "Basic networks",
    "cross_layer": "Cross-layer connections",
    "depthwise": "Depthwise convolutions",
    "splitting": "Splitting and transforming",
    "transformer": "Transformers",
    "": "Of libraries",
}
HEAD = """# Options

Generated from `conf/` and from the schema that checks what is typed; `convarium options` prints the same, with the
options of your own `./conf`. `group=option` chooses an option, `group.knob=value` sets a knob
(`compression.magnitude.sparsity=0.8` for a method), a comma sweeps, and short names are completed. `null` leaves a
value to what the note says. Options of your own lie in `./conf/<group>/`.

| group | options | what it chooses |
|---|---|---|
"""


def build_pages() -> dict[str, str]:
    """Return the pages as Markdown, by their file: one for each group, architectures one for each section."""
    pages = {"options.md": ""}
    rows = []
    for group, purpose in GROUPS.items():
        names = _list_names(group)
        sections = _split_sections(group, names)
        pages |= sections
        links = ", ".join(f"[{_title(group, file)}]({file})" for file in sections)
        rows.append(f"| {links} | {len(names)} | {escaped(purpose)} |")
    pages["options.md"] = HEAD + "\n".join(rows) + "\n"
    return pages


def _list_names(group: str) -> list[str]:
    return search_path.list_config_names(search_path.find_builtin_folder("conf") / group)


def _split_sections(group: str, names: list[str]) -> dict[str, str]:
    """Return the pages of a group by their file."""
    if group != "architecture":
        return {f"options/{group.replace('/', '_')}.md": _build_page(group, group, names)}
    pages = {}
    for section in sorted({name.rpartition("/")[0] for name in names}):
        members = [name for name in names if name.rpartition("/")[0] == section]
        title = f"{group}: {SECTION_TITLES.get(section, section)}"
        pages[f"options/{group}_{section or 'libraries'}.md"] = _build_page(group, title, members)
    return pages


def _title(group: str, file: str) -> str:
    part = file.removeprefix("options/").removesuffix(".md").removeprefix(f"{group}_")
    return group if part == group.replace("/", "_") else f"{group}: {part.replace('_', '-')}"


def _build_page(group: str, title: str, names: list[str]) -> str:
    lines = [f"# {title}\n", f"{escaped(GROUPS[group])}\n"]
    default = find_default_option(group)
    if default is not None:
        lines.append(f"Default: `{group}={default}`.\n")
    for name in names:
        lines += _build_section(describe_option(group, name))
    return "\n".join(lines)


def _build_section(option: OptionDescription) -> Iterator[str]:
    yield f"## {option.name}\n"
    yield f"{escaped(' '.join(option.head))}\n"
    if option.keys:
        yield "\n".join(("| knob | default | values | |", "|---|---|---|---|", *map(_build_row, option.keys))) + "\n"
    if option.notes:
        yield f"{escaped(' '.join(option.notes))}\n"


def _build_row(key: KeyDescription) -> str:
    default = "must be given" if key.default is None else f"`{key.default}`"
    return f"| `{key.key}` | {default} | {escaped(key.rule)} | {escaped(key.comment)} |"
