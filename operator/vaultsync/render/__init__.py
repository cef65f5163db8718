"""From values that were read to the manifest of a Secret: pure functions."""
