"""From a detector's raw maps to boxes with labels and scores. Needs numpy only, so that it also runs on the device."""
