"""Search: chooses points instead of listing them; a trial is a point whose answer the store gives."""
