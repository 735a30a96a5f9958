"""Networks of section 3.4: depthwise separable convolutions."""
