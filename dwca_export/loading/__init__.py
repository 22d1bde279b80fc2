"""How model files are read: one module per kind of file, and the rules that keep reading from running anything."""
