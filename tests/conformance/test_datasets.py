"""The sets that need no download pass the suite for outside ones."""

from convarium.conformance import DatasetSuite


class TestDigits(DatasetSuite):
    dataset = "digits"


class TestMnist5k(DatasetSuite):
    dataset = "mnist5k"
