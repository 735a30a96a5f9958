"""The compressed file: its container, its header and the network that the header declares."""
