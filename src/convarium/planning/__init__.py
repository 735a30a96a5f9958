"""From points to a plan: the graph of stages, what it will cost, and whether it can be made at all."""
