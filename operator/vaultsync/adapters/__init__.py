"""The edges: each module, or package, knows exactly one foreign library, and turns its failures into `SyncError`."""
