"""The Helm chart as tests see it, and what is made from it: its README's table of values and the golden renders."""
