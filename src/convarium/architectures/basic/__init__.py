"""The networks of section 3.1: what came before, and the first deep ones."""
