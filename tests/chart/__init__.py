"""The Helm chart for tests, and the files generated from it: its README's table of values and the golden renders."""
