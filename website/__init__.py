"""The documentation as a site: `make docs` builds it with MkDocs, `python -m website` writes its generated pages."""
