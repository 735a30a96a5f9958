"""Terms: what a method adds to the loss while its phases train. One function a file, found by its name."""
