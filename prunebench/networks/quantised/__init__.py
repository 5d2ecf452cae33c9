"""Networks with 8-bit weights.

``layers.py`` has their layers, ``folding.py`` puts BatchNorm into the convolution before it,
``calibration.py`` chooses codes, scales and zero points with torchao.
"""
