"""Every system of the review: what it is, the command that runs it here, and how its claim was checked."""
