"""Stored results become a table that can be believed: means, intervals, paired differences, Pareto marks."""
