"""A package of plugins as prunebench 0.1 had them written. Do not bring it up to date."""
