"""A zsh that completes: the keys that are typed, and what stands on its line."""

import os
import pty
import re
import select
import time
from pathlib import Path

TIMEOUT_S = 60.0
SETTINGS = """unset zle_bracketed_paste; PROMPT_EOL_MARK=; setopt no_beep no_auto_menu no_list_beep; bindkey -e
eval "$(convarium --completion zsh)"; PS1=READY
"""


class Zsh:
    """An interactive zsh without anybody's settings, in a folder, in which `convarium` completes."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self._process, self._terminal = pty.fork()
        if self._process == 0:
            os.chdir(folder)
            path = f"{programs}:{os.environ['PATH']}"
            given = {"PATH": path, "TERM": "dumb", "LC_ALL": "C.UTF-8", "HOME": str(folder), "COLUMNS": "400"}
            os.execvpe("zsh", ["zsh", "-f", "-i"], given)
        self._send(SETTINGS)
        self._read_until(r"READY\s*$")

    def complete(self, typed: str) -> list[str]:
        """Return the words of a line after Tab, an X where the next key would stand."""
        self._send(f"{typed}\t")
        self._read_until(re.escape(typed[-1]))
        time.sleep(1.5)  # it shows no mark when it has completed
        self._send("X\x01printf '<%s>' \n")
        (words,) = re.findall(r"((?:<[^>%]*>)+)\r*\n?[^\n]*READY\s*$", self._read_until(r">[\r\s]*READY\s*$"))
        return re.findall("<([^>]*)>", words)

    def close(self) -> None:
        """End it."""
        os.close(self._terminal)
        os.waitpid(self._process, 0)

    def _send(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def _read_until(self, pattern: str) -> str:
        text, end = "", time.monotonic() + TIMEOUT_S
        while time.monotonic() < end and not re.search(pattern, text):
            if select.select([self._terminal], [], [], 0.1)[0]:
                text += os.read(self._terminal, 4096).decode(errors="replace")
        return text
