"""What `coder.py` measures."""
