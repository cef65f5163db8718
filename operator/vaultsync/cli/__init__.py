"""The commands for users of a cluster: what they print is computed from what they may read, with their own rights."""
