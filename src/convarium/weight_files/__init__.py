"""Weights from outside: what a file or folder of them holds, and how it fits a network; no code of it is run."""
