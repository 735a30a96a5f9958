"""From a command line to checked points: grids, the Hydra composer, sweeps, controls, short names, references."""
