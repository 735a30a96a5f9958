"""What a network costs: one `Cost` for budgets, tables and searches, multiply-accumulates, a table of layers."""
