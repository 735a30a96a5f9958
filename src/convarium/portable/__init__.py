"""Export of a stored network: writers for other formats, the model card inside the file, loaders and verification."""
