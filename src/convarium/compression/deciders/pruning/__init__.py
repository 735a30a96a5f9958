"""Which weights or filters go, and what nothing reads any more."""
