"""Checking records before they are published: one file a question, ``check_record`` asks all."""

from prunebench.record.checking.check import check_record
from prunebench.record.checking.others import Others
from prunebench.record.checking.problem import Problem

__all__ = ["Others", "Problem", "check_record"]
