"""Strategies: which point is tried next. Each gives samplers of Optuna; found by name, a user's by import path."""
