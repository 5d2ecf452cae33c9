"""A row's page."""
