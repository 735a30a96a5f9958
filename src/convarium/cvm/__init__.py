"""The compressed file: bits, gaps, entropy coding, container. What is measured, exported and compressed further."""
