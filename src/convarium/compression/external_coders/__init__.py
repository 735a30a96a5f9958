"""Other projects' coders, each in its own environment and called as a process: controls, never part of a file."""
