"""What a check finds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from convarium.errors import UserError
from convarium.store.disk import format_error


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        name: of the check.
        is_ok: whether nothing has to be mended.
        message: what was found and, where it is not ok, what mends it.
    """

    name: str
    is_ok: bool
    message: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the command's JSON has it."""
        return {"name": self.name, "ok": self.is_ok, "message": self.message}

    def name_host(self, host: str) -> "Finding":
        """Return the same finding, of a check that was made on another host."""
        return replace(self, name=f"{self.name} on {host}")


def parse_finding(values: dict[str, Any]) -> Finding:
    """Return what `to_json` made JSON of."""
    return Finding(values["name"], values["ok"], values["message"])


def make_check(name: str, check: Callable[[], str]) -> Finding:
    """Make a check.

    Args:
        check: returns what it found where that is ok; raises UserError, or what the disk refuses by, where it is not.
    """
    try:
        return Finding(name, True, check())
    except (UserError, OSError) as error:
        return Finding(name, False, format_error(error))
