"""The check of a tracker."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from convarium.doctor.finding import Finding, make_check


def check_tracker(tracking: Mapping[str, Any], store_root: Path) -> list[Finding]:
    """Check that a tracker answers; nothing where no tracker is asked for.

    Raises:
        UserError: its address is invalid.
    """
    if tracking["name"] == "none":
        return []
    from convarium.tracking.tracker_address import resolve_tracker_address

    address = resolve_tracker_address(tracking["uri"], store_root)
    return [make_check("tracker", partial(_check_address, address))]


def _check_address(address: str) -> str:
    from convarium.tracking.tracker_address import mask_passwords
    from convarium.tracking.tracker_connection import check_tracker_reachable

    check_tracker_reachable(address)
    return f"{mask_passwords(address)} can be reached"
