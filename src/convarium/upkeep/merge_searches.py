"""Bring the searches of another store that this one lacks, so that the same command goes on with them here."""

import shutil
from uuid import uuid4

from convarium.search.search_folder import SEARCHES_FOLDER, SearchFolder
from convarium.search.stored_searches import find_living_lease, list_search_folders
from convarium.store import disk
from convarium.store.store import Store


def find_missing_searches(source: Store, target: Store) -> tuple[list[SearchFolder], list[str]]:
    """Return the searches that the target lacks, and apart from them the signatures of those that still go on.

    Of a search that is in both nothing is brought: what each asked since they parted can't be made one.
    """
    folders = [
        folder
        for folder in list_search_folders(source)
        if not (target.root / SEARCHES_FOLDER / folder.signature).exists()
    ]
    living = [folder.signature for folder in folders if find_living_lease(folder)]
    return [folder for folder in folders if folder.signature not in living], living


def copy_search(folder: SearchFolder, target: Store) -> None:
    """Copy what a search is and what became of its trials; its lease and its run stay with the other store.

    The files are copied and never linked: who goes on with the search appends to them.

    Raises:
        OSError: a file can't be read or written.
    """
    copied = target.root / SEARCHES_FOLDER / folder.signature
    disk.make_folder(copied.parent)
    draft = copied.with_name(f".merge.{uuid4().hex}")
    draft.mkdir()
    try:
        for file in (folder.description, folder.asked_trials, folder.journal):
            if file.exists():
                shutil.copyfile(file, draft / file.name)
                disk.sync_file(draft / file.name)
        draft.rename(copied)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
