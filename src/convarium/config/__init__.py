"""Configs: closed groups as dataclasses, open sets checked from their YAML, before anything heavy is imported."""
