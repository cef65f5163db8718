"""Renders the templates of a target, Liquid over its entries; the engine and its bounds are in `render.liquid`.

The language has outputs with filters, if, unless, case, for, assign, capture, comments and raw. An entry is referenced
by its key, or as `entries['tls.crt']` if the key is not a name. An entry whose bytes are not UTF-8 can only be used
through `b64encode` and `sha256`.
"""

from collections.abc import Mapping
from typing import Final

from vaultsync.errors import Reason, SyncError

MAX_SOURCE: Final = 32 * 1024
"""In characters, of all templates of a target together: parsing takes time, too."""


def render(templates: Mapping[str, str], values: Mapping[str, bytes]) -> dict[str, bytes]:
    """Render templates with values, both by key.

    Returns:
        Contents by key; the same bytes for the same input.

    Raises:
        SyncError: TemplateInvalid, with the template's key, line and column, and nothing of any value.
    """
    if not templates:
        return {}
    length = sum(map(len, templates.values()))
    if length > MAX_SOURCE:
        raise SyncError(
            Reason.TEMPLATE_INVALID,
            f"The templates have {length} characters; all templates of a target together may have {MAX_SOURCE}.",
        )
    from vaultsync.render.liquid.context import Budget  # noqa: PLC0415  importing it takes a quarter of a second
    from vaultsync.render.liquid.engine import TemplateError, parse  # noqa: PLC0415  the same
    from vaultsync.render.liquid.values import text_or_binary  # noqa: PLC0415  the same

    texts = {key: text_or_binary(content) for key, content in values.items()}
    budget = Budget()
    contents: dict[str, bytes] = {}
    for key, source in templates.items():
        try:
            contents[key] = parse(source).render(texts, budget)
        except TemplateError as error:
            problem = f"Template {key}{error}."
            break
    else:
        return contents
    # Not inside the handler: its error would be the context.
    raise SyncError(Reason.TEMPLATE_INVALID, problem)
