"""Networks of section 3.6: attention instead of convolutions or next to them."""
