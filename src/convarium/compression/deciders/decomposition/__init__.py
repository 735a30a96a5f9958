"""Deciders that replace a layer by several layers of which it is the product."""
