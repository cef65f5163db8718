"""The image, built and run without a container engine (`make image-test`), and its Python."""
