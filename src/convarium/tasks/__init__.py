"""What a network is trained for, and the loop that trains it: `fit.fit` is one phase, `evaluate.evaluate` a look."""
