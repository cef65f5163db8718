"""The image, built and run without a container engine. `make image-test` runs it; `make test` does not."""
