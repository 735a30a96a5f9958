"""Networks of section 3.6: attention instead of, or beside, convolutions."""
