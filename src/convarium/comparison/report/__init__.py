"""A comparison as files to look at and to work on: one HTML page that needs no network, and one CSV table."""
