"""What every method has to beat: another network, or another coder."""
