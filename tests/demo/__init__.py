"""What of the demo can be judged without a control plane."""
