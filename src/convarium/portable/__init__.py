"""A stored network in the formats of others: written, described inside the file, and held against what is stored."""
