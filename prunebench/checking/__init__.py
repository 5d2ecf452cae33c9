"""Checking records before they are published: one file a question, ``check_record`` asks all."""

from prunebench.checking.check import check_record
from prunebench.checking.others import Others
from prunebench.checking.problem import Problem

__all__ = ["Others", "Problem", "check_record"]
