"""The layers of section 2 that torch lacks, and how a builder picks them by name."""
