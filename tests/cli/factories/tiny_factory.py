"""For `--arch`: in a folder of its own, because the modules beside a factory are loaded as the factory's own."""

from tiny_net import tiny

__all__ = ["tiny"]
