"""Checking records before they are published: one file a question, ``check_record`` asks all."""

from prunebench.record.checking.check import check_record
from prunebench.record.checking.problem import Problem
from prunebench.record.checking.record_index import RecordIndex

__all__ = ["Problem", "RecordIndex", "check_record"]
