"""Our coders pass the suite for outside ones."""

from convarium.compression.file.streams import CODERS
from convarium.conformance import CoderSuite


class TestOurs(CoderSuite):
    coders = CODERS
