"""The networks behind the models: ``torch.nn.Module`` classes, one architecture a file."""
