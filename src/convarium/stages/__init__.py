"""The steps of a run as pure functions `stage(own, parents, runtime)`; each receives exactly what is hashed."""
