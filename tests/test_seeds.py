"""One seed drives many independent streams."""

from convarium.seeds import stream


def test_streams_differ_by_seed_and_by_every_name() -> None:
    asked = [(0,), (1,), (0, "init"), (0, "step", 1), (0, "step", 2), (0, "step", 12), (0, "step", 1, 2)]
    found = {stream(*names) for names in asked}
    assert len(found) == len(asked)
    assert all(0 <= seed < 2**63 for seed in found)


def test_streams_are_fixed_for_ever() -> None:
    assert (stream(0, "init"), stream(7, "step", 3)) == (3598610026517748695, 6528585445776380695)
