"""What to measure: a suite, read from YAML and checked before anything runs."""

from prunebench.suite.suite import Explain, Suite, load_suite

__all__ = ["Explain", "Suite", "load_suite"]
