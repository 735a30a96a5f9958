"""Pruners: which trials are left before their training ends. Found by name, a user's by import path."""
