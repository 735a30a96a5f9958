"""Layers become several whose product they were."""
