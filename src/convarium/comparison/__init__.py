"""Comparison of stored results: means, intervals, paired differences to dense networks, Pareto fronts, an audit."""
