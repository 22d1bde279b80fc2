"""Looks into a bundle's network layer by layer, with nothing but what the bundle recorded: numpy and ncnn suffice."""
