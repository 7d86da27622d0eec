"""The loop and what keeps it alive; it knows `Game`, never a network by name."""
