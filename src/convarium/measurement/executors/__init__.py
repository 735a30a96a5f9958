"""Executors: each is a function from a model's file, a number of threads and a device to the loaded model."""
