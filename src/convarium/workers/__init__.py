"""Who makes results: leases, ready nodes, workers, the controller that launches them, fresh processes."""
