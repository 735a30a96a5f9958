"""Entropy coders: from values, positions and symbols to bits and back."""
