"""Carrying out a plan: what is missing, in which order, by which worker.

In: the steps of a plan. Out: their results in the store. ``stages/`` has one file a kind of step.
"""
