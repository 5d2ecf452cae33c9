"""The experiment tree: from a suite to steps with keys.

In: a ``Suite``, and the environment. Out: trials, one a network, each with the steps behind it.
Nothing here computes with tensors.
"""
