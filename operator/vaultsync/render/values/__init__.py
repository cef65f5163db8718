"""Values of secrets that are documents: their formats, paths into them, and their fields; reads no vault."""
