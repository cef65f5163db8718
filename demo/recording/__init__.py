"""The pictures of the demo in README.md: what a terminal showed in a real run, as an asciicast and as SVG."""
