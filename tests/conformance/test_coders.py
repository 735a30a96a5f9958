"""Our coders pass the suite for outside ones."""

from convarium.coding.site_streams import CODERS
from convarium.conformance import CoderSuite


class TestOurs(CoderSuite):
    coders = CODERS
