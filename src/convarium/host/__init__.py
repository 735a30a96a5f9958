"""The machine and the process that work is done on."""
