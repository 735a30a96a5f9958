"""What runs a network when it is timed: each is a function from a network and images to a call without arguments."""
