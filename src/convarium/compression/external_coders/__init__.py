"""Coders of others, each in an environment of its own and called as a process: controls, never part of a file."""
