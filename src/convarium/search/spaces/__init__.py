"""Spaces of ours: functions that ask a chooser and return values by key."""
