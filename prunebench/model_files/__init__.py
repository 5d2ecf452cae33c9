"""Networks that somebody brings: files and names of models in, modules out.

In: ``FACTORY[@WEIGHTS]``, or a file that holds a whole network. Out: a module with its weights, and
what was read or inferred on the way. Nothing is unpickled but tensors and layers of torch,
torchvision and timm, unless the caller asks for it.
"""
