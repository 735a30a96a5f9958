"""One seed drives many independent streams."""

from convarium.seeds import derive_seed


def test_streams_differ_by_seed_and_by_every_name() -> None:
    streams = [(0,), (1,), (0, "init"), (0, "step", 1), (0, "step", 2), (0, "step", 12), (0, "step", 1, 2)]
    seeds = {derive_seed(*names) for names in streams}
    assert len(seeds) == len(streams)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_streams_are_fixed_for_ever() -> None:
    assert (derive_seed(0, "init"), derive_seed(7, "step", 3)) == (3598610026517748695, 6528585445776380695)
