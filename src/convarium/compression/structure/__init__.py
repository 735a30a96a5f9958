"""Structure: which channels of a network belong together, and what a network without some of them looks like."""
