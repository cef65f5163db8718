"""The parts of the demo that can be tested without a control plane."""
