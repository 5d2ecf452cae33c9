"""The board as a page."""
