"""Find the plan with the most reuse that keeps a loss."""
