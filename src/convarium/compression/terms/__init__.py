"""Terms: additions to the loss while a method's phases train. One function a file, found by its name."""
