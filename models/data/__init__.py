"""The data that the reference networks are trained on."""
