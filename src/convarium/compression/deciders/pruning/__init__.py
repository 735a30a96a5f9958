"""Deciders that remove weights, filters, and channels that no longer matter."""
