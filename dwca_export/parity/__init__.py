"""Numerical parity between backends: measure, judge."""
