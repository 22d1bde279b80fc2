"""Training a detector: anchors, matching, loss and average precision."""
