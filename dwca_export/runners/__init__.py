"""Backends that run a model: torch, ONNX Runtime, ncnn."""
