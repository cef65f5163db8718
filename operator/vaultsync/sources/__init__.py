"""What changes the state and wakes the queue: watches, resyncs and polls."""
