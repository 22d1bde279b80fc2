"""Rewrites of the simplified ONNX graph that pnnx needs to get it right, in order."""
