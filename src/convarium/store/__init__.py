"""A stage's result lives at its signature; leases let one worker at a time make it; plans say what is wanted."""
