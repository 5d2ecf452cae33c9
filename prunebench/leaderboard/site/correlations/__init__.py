"""The pages of correlations."""
