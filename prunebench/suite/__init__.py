"""What to measure: a suite, read from YAML or made in Python, and checked before anything runs."""

from prunebench.suite.options import Explain
from prunebench.suite.suite import Suite, load_suite

__all__ = ["Explain", "Suite", "load_suite"]
