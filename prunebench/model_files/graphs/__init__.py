"""Files that hold a network as a graph of operators: torch.export, TorchScript and ONNX.

In: a file. Out: a ``GraphFile``, whose module is made of ordinary layers again and gives the logits
that the file gives.
"""
