"""The networks of the paper: one package each, with builder, training script, weights and model card."""
