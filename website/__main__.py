"""`python -m website`: writes the pages of the documentation that are generated from the code."""

from website.generated import generated_pages

if __name__ == "__main__":
    for path, text in generated_pages().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
