"""What runs a network: each is a function from a model's file and a number of threads to the loaded model."""
