"""Reference networks, the data they are trained on, the training recipe and trained checkpoints."""
