"""What is said of a failure in a few words."""


def format_state(state: str, cause: str | None) -> str:
    """Return a state with the cause of the failure behind it: "failed (nan)"; alone where the cause says nothing."""
    return state if cause in (None, "error") else f"{state} ({cause})"
