"""What archiving costs besides encoding, how good plans are, and what many machines would do."""
