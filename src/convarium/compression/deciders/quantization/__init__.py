"""Deciders that let weights share values, or draw them to a grid of levels."""
