"""A folder of a test's that another user of the machine can come to; pytest's own are for one user."""

import tempfile
from pathlib import Path


def make_world_writable(folder: Path) -> Path:
    """Let every user write into a folder, and pass those between it and the folder of temporary files."""
    shared = Path(tempfile.gettempdir()).resolve()
    for above in folder.resolve().parents:
        if not above.is_relative_to(shared) or above == shared:
            break
        above.chmod(0o755)
    folder.chmod(0o1777)
    return folder
