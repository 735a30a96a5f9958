"""The searches of a store, seen from outside: those that go on, and the results that searches asked for."""

from dataclasses import dataclass

from convarium.search.asked_trials import read_asked_trials
from convarium.search.journal_end import count_told_trials
from convarium.search.search_folder import SEARCHES_FOLDER, SearchFolder
from convarium.store.store import Store
from convarium.workers.lease import LeaseInfo, LeaseManager

SCORE_STAGE = "score"


@dataclass(frozen=True)
class LivingSearch:
    """A search that a process goes on with, and how far it is.

    Attributes:
        told: how many trials were told of those that were asked; they count the refused and gated ones too.
    """

    signature: str
    host: str
    pid: int
    asked: int
    told: int


def list_search_folders(store: Store) -> list[SearchFolder]:
    """Return the folders of a store's searches.

    Raises:
        OSError: they can't be listed.
    """
    root = store.root / SEARCHES_FOLDER
    paths = sorted(root.iterdir()) if root.exists() else []
    return [SearchFolder(path) for path in paths if path.is_dir() and not path.name.startswith(".")]


def find_living_lease(folder: SearchFolder) -> LeaseInfo | None:
    """Return the lease by which a living process owns a search, None where none does."""
    lease_info = LeaseManager("").read(folder.path)
    return lease_info if lease_info is not None and lease_info.state == "alive" else None


def read_living_search(folder: SearchFolder) -> LivingSearch | None:
    """Return how far a search is, None where no process goes on with it.

    Raises:
        UserError: a file of it is damaged.
        OSError: a file of it can't be read.
    """
    lease_info = find_living_lease(folder)
    if lease_info is None:
        return None
    host, pid = (lease_info.owner.host, lease_info.owner.pid) if lease_info.owner else ("", 0)
    asked = len(read_asked_trials(folder.asked_trials))
    return LivingSearch(folder.signature, host, pid, asked, count_told_trials(folder.journal))


def find_searched_signatures(store: Store, only_living: bool = False) -> set[str]:
    """Return the signatures of what searches asked for: networks, what they were made from, and their scores.

    Args:
        only_living: leaves out searches that no process goes on with.

    Raises:
        UserError: the list of a search's trials is damaged, so that its signatures are not known.
        OSError: it can't be read.
    """
    folders = [folder for folder in list_search_folders(store) if not only_living or find_living_lease(folder)]
    trials = [trial for folder in folders for trial in read_asked_trials(folder.asked_trials)]
    networks = {signature for trial in trials for signature in trial.signatures}
    if not networks:
        return set()
    parents = {record["signature"]: record["parents"] for record in store.read_records()}
    scores = {record["signature"] for record in store.read_records(SCORE_STAGE) if record["parents"][0] in networks}
    return scores | _add_ancestors(networks, parents)


def _add_ancestors(signatures: set[str], parents: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    pending = list(signatures)
    while pending:
        signature = pending.pop()
        if signature not in found:
            found.add(signature)
            pending += parents.get(signature, [])
    return found
