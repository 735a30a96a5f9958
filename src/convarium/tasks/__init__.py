"""What a network is trained for, and the loop that trains it: `fit.fit_network`, `evaluate.evaluate_network`."""
