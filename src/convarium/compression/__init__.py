"""Compression methods (section 4 of the review) out of sites, representations, edits, deciders, terms and phases."""
