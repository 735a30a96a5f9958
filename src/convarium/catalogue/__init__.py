"""The systems of the review: what each is, the command that runs it here, its published claims and their checks."""
