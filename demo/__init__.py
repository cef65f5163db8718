"""The demo: the life of a secret on a real control plane, told by the commands that a user types."""
