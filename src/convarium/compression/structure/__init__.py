"""Structure: which channels and layers of a network can be cut or split, and how channels are cut."""
