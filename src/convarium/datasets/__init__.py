"""Image sets with fixed splits; `loading.load_splits` is the entry point."""
