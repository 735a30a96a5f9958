"""What `convarium doctor` looks at before a first sweep: the store's disk, this host, the tracker, Slurm and a node."""
