"""The board as text and pictures: markdown, terminal, JSON, README and figures."""
