"""The sources of state: watches, resyncs and polls; they write the state and wake the queue."""
