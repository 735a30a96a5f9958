"""Figures of a network, taken from its file alone by a process that has never seen the training."""
