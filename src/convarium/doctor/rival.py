"""The second process of a check, which competes with another one or with its parent; it prints what it got as JSON.

It is run as a file and imports nothing of the package, so that it is there in an instant:
`rival.py create FOLDER COUNT`, `rival.py link FOLDER COUNT` (both begin at a line on stdin), `rival.py lock FILE`.
"""

import fcntl
import json
import os
import sys


def create_names(folder: str, count: int) -> list[int]:
    """Return which of the names 0, 1, … this process has created as files that were not there."""
    return [index for index in range(count) if is_created(f"{folder}/created.{index}")]


def link_names(folder: str, count: int) -> list[int]:
    """Return which of the names 0, 1, … this process has linked a file of its own to."""
    own_file = f"{folder}/own.{os.getpid()}"
    is_created(own_file)
    return [index for index in range(count) if is_linked(own_file, f"{folder}/linked.{index}")]


def is_created(file: str) -> bool:
    """Whether this process has created a file; not where it was there already."""
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def is_linked(file: str, name: str) -> bool:
    """Whether this process has given a file a further name; not where that is another's already."""
    try:
        os.link(file, name)
    except FileExistsError:
        return False
    return True


def is_lock_free(file: str) -> bool:
    """Whether this process gets the lock of a file."""
    descriptor = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def main(action: str, path: str, count: str = "0") -> None:
    """Do what the arguments say."""
    if action == "lock":
        print(json.dumps(is_lock_free(path)))
        return
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps({"create": create_names, "link": link_names}[action](path, int(count))))


if __name__ == "__main__":
    main(*sys.argv[1:])
