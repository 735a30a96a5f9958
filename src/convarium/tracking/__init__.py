"""MLflow as a view of the store: what a run says, who writes it, who follows a run while it goes."""
