"""The pruners' pages."""
