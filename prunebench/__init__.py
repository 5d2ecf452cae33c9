"""PruneBench: does a pruned network still look where it looked?"""
