"""What a network costs: multiply-accumulates, layer by layer too."""
