"""Derive the seeds of many independent, named random streams from one seed."""

from hashlib import sha256


def derive_seed(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed for the stream `names` of `seed` (such as "init", or "step", 2)."""
    text = ":".join(str(part) for part in (seed, *names))
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") >> 1
