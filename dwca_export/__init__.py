"""Take trained networks with DWCA blocks to ncnn and prove that they still compute the same numbers."""

__version__ = "0.1.0"
