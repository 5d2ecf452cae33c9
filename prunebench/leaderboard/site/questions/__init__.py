"""The page of what the papers did not ask."""
