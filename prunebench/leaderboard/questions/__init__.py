"""What the papers did not ask of pruners and explanations, answered in numbers from records."""
