"""Networks of section 3.3: layers connected across others."""
