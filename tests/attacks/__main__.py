"""`python -m tests.attacks`: writes docs/attacks.md, the list of all attacks, from their docstrings."""

from tests.attacks.page import PAGE, page

if __name__ == "__main__":
    PAGE.write_text(page())
