"""A zsh that completes: the keys that are typed, and what stands on its line."""

import os
import pty
import select
import time
from pathlib import Path

TIMEOUT_S = 60.0
SETTINGS = (
    "unset zle_bracketed_paste; setopt no_beep no_auto_menu no_prompt_sp; bindkey -e",
    'eval "$(convarium --completion zsh)"',
)


class Zsh:
    """An interactive zsh without anybody's settings, in a folder, in which `convarium` completes."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._words = folder / "typed.txt"
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(folder)
            path = f"{programs}:{os.environ['PATH']}"
            given = {"PATH": path, "TERM": "dumb", "LC_ALL": "C.UTF-8", "HOME": str(folder), "COLUMNS": "400"}
            os.execvpe("zsh", ["zsh", "-f", "-i"], given)
        for line in SETTINGS:
            os.write(self._terminal, f"{line}\n".encode())
        assert self.complete("echo ready") == ["echo", "readyX"]

    def complete(self, typed: str) -> list[str]:
        """Return the words of a line after Tab, an X where the next key would stand."""
        # ^A and ^E lead to the ends of the line; the draft is renamed so that nobody reads half of it.
        quote = "'" * (typed.count("'") % 2)
        keys = f"{typed}\tX{quote}\x01noglob printf '%s\\n' \x05 >draft.txt; mv draft.txt {self._words.name}\n"
        os.write(self._terminal, keys.encode())
        end = time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and not self._words.exists():
            if select.select([self._terminal], [], [], 0.05)[0]:
                os.read(self._terminal, 4096)
        words = self._words.read_text(encoding="utf-8").splitlines()
        self._words.unlink()
        return words

    def close(self) -> None:
        """End it."""
        os.close(self._terminal)
        os.waitpid(self._process, 0)
