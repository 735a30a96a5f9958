"""Controls that every method has to beat: a smaller network, and another coder."""
