"""Search: spaces, strategies and evaluators; what a trial is made of, and how its answer is read."""
