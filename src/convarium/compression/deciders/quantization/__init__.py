"""Weights share values, or lie on a grid of levels."""
