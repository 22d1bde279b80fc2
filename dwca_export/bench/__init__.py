"""Measures networks, layers and kernels on the machine at hand."""
