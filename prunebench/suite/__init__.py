"""What to measure: a suite, read from YAML and checked before anything runs."""

from prunebench.suite.reading import load_suite
from prunebench.suite.suite import Explain, Suite

__all__ = ["Explain", "Suite", "load_suite"]
