"""Section 4 as six nouns: sites, representations, edits, deciders, terms, phases; a method is a YAML listing them."""
