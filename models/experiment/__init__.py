"""The comparison of the DWCA block with its baseline and with its own parts: what is run, how, and what came out."""
