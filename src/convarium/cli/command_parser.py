"""Parsing of a sub-command's own options and of its overrides."""

import re
from argparse import Action, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import NoReturn

from convarium.config.override import Override
from convarium.config.paths import parse_path
from convarium.config.search_path import (
    list_config_groups,
    list_config_names,
    list_group_options,
    list_search_folders,
)
from convarium.config.suggestions import suggest_key, suggest_word
from convarium.errors import UserError

UNKNOWN_OPTION = re.compile(r"unrecognized arguments: --([\w-]+)(?:[= ](\S+))?")
OPTIONS_HELP = """
  convarium options                        what each group chooses
  convarium options compression            its options
  convarium options compression/magnitude  their keys: default, range and meaning"""


class CommandParser(ArgumentParser):
    """An argument parser whose mistakes are one line."""

    def __init__(
        self,
        command: str,
        description: str,
        takes_points: bool = False,
        epilog: str = "",
        overrides_help: str = "choices and values, sweep=NAME",
        beside_groups: str = "seed and sweep",
    ) -> None:
        super().__init__(
            prog=f"convarium {command}",
            description=description,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.takes_points, self.further_help, self.beside_groups = takes_points, epilog, beside_groups
        self.add_argument("--debug", action="store_true", help="show where an error comes from")
        self.add_argument("overrides", nargs="*", metavar="key=value", help=overrides_help)
        if takes_points:
            self.add_argument("-m", "--multirun", action="store_true", help="accepted and ignored: a comma sweeps")

    def format_help(self) -> str:
        """Return the help; of a command that takes points also where groups and their options are listed."""
        if self.takes_points:
            groups = f"groups: {', '.join(list_config_groups())}; beside them {self.beside_groups}"
            self.epilog = f"{groups}\n{OPTIONS_HELP}{self.further_help}"
        return super().format_help()

    def list_options(self) -> list[str]:
        """Return the long options, as the help lists them."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]

    def find_action(self, option: str) -> Action | None:
        """Return what an option such as `--format` or `-o` does, None where the command has no such option."""
        return next((action for action in self._actions if option in action.option_strings), None)

    def error(self, message: str) -> NoReturn:
        """Raise UserError instead of printing the usage."""
        raise UserError(f"{self.prog}: {message}{self._suggest_override_for(message)}; see {self.prog} --help")

    def _suggest_override_for(self, message: str) -> str:
        """Return the override that an unknown option such as `--epochs 5` means, or nothing."""
        match = UNKNOWN_OPTION.match(message)
        return suggest_key(match[1], match[2] or "") if match and self.takes_points else ""

    def parse_overrides(self, argv: Sequence[str]) -> Namespace:
        """Parse `argv`; each override must be a `key=value`."""
        parsed = self.parse_intermixed_args(argv)
        parsed.overrides = parse_overrides(parsed.overrides)
        return parsed

    def parse_with_word(self, name: str, argv: Sequence[str], further: int = 0) -> tuple[Namespace, str]:
        """Parse `argv` whose first positional is not an override but a word, such as a signature or a file.

        Args:
            name: what the word is, for the error line.
            further: how many more words may follow; they are the namespace's `further`.
        """
        parsed = self.parse_intermixed_args(argv)
        if not parsed.overrides or not parsed.overrides[0] or is_override(parsed.overrides[0]):
            raise UserError(f"{self.prog}: which {name}? usage: {self.prog} {name.upper()} [key=value …]")
        first_word, *texts = parsed.overrides
        parsed.further = []
        while texts and len(parsed.further) < further and "=" not in texts[0]:
            parsed.further.append(texts.pop(0))
        parsed.overrides = parse_overrides(texts)
        return parsed, first_word

    def parse_with_optional_word(self, argv: Sequence[str]) -> tuple[Namespace, str | None]:
        """Parse `argv` whose first positional may be a word (a signature, a file); the word is None if it is not."""
        parsed = self.parse_intermixed_args(argv)
        has_word = bool(parsed.overrides) and not is_override(parsed.overrides[0])
        word = parsed.overrides.pop(0) if has_word else None
        parsed.overrides = parse_overrides(parsed.overrides)
        return parsed, word


def is_override(text: str) -> bool:
    """Whether a word is `key=value` and not the name of a file."""
    return "=" in text and not parse_path(text).is_file()


def _suggest_override(word: str) -> str:
    options = {group: list_group_options(group) for group in list_config_groups()}
    sweeps = [name for folder in list_search_folders("sweeps") for name in list_config_names(folder)]
    return suggest_word(word, options, sweeps)


def parse_overrides(texts: Sequence[str]) -> list[Override]:
    """Return the overrides of a command line.

    Raises:
        UserError: a word without a value that deletes nothing.
    """
    for text in texts:
        if "=" not in text and not text.startswith("~"):
            hint = _suggest_override(text) or "; write key=value, such as seed=0"
            raise UserError(f"'{text}' is not an override{hint}")
    return [Override(text) for text in texts]
