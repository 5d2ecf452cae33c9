"""Amortized explainers: a network that learns to say which part of an image decides.

``masks.py`` draws masks and says what they cost, ``encoder_maps.py`` reads a network's maps,
``decoder.py`` turns them into masks. ``predictor.py`` and ``selector.py`` are what is trained once
for each network; ``explainers.py`` are the plugins.
"""
