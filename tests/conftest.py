"""What all tests share."""

import logging

logging.raiseExceptions = False  # libraries keep log handlers on streams that pytest closes after a test
