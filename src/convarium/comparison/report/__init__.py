"""A comparison as files: an HTML page that works offline, and a CSV table."""
