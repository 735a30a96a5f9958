"""Networks of section 3.3: connections that skip layers."""
