"""Deciders: see a network, and say which representation each site gets. One function a file, found by its name."""
