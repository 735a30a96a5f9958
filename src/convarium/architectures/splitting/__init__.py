"""Networks of section 3.2: convolutions split into smaller ones."""
