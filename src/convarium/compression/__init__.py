"""Section 4 as six nouns: sites, representations, edits, deciders, terms and phases; a method is a YAML that lists them."""
