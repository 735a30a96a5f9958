"""What keeps a store in order: garbage collection and merging."""
