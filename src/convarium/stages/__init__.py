"""The stages of a run as pure functions `stage(config, parents, runtime)`; `config` is exactly what is hashed."""
