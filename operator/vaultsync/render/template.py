"""Renders the templates of a target, Liquid over its entries; the engine and its bounds are in `render.liquid`.

The language has outputs with filters, if, unless, case, for, assign, capture, comments and raw. An entry is referenced
by its key, or as `entries['tls.crt']` if the key is not a name. An entry whose bytes are not UTF-8 can only be used
through `b64encode` and `sha256`. Templates of labels and annotations have no entries.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from vaultsync.errors import Reason, SyncError
from vaultsync.render.passwords import Passwords

_Item = TypeVar("_Item")
_Content = TypeVar("_Content")

MAX_SOURCE: Final = 32 * 1024
"""In characters, of all templates of a target together: parsing takes time, too."""

MAX_METADATA_SOURCE: Final = 8 * 1024
"""The same of its labels and annotations."""

_METADATA_SHARE: Final = 8
"""The part of the budget of a target that its labels and annotations have in addition: one of so many."""


def uses_passwords(templates: Mapping[str, str]) -> bool:
    """Return whether a template may hash passwords."""
    return any("htpasswd" in source for source in templates.values())


def render(
    templates: Mapping[str, str], values: Mapping[str, bytes], passwords: Passwords | None = None
) -> dict[str, bytes]:
    """Render templates with values, both by key.

    Args:
        templates: The templates.
        values: The values.
        passwords: Hashes passwords, if a template does.

    Returns:
        Contents by key; the same bytes for the same input.

    Raises:
        SyncError: TemplateInvalid, with the template's key, line and column, and nothing of any value.
    """
    if not templates:
        return {}
    _check_length("target.template", templates, MAX_SOURCE)
    from vaultsync.render.liquid.context import MAX_COST, Budget  # noqa: PLC0415  it takes a quarter of a second
    from vaultsync.render.liquid.engine import parse  # noqa: PLC0415  the same
    from vaultsync.render.liquid.values import text_or_binary  # noqa: PLC0415  the same

    texts = {key: text_or_binary(content) for key, content in values.items()}
    # Those with passwords are rendered twice: for the passwords, and with their hashes.
    budget = Budget(MAX_COST // 2 if uses_passwords(templates) else MAX_COST)
    return _each(templates, lambda _, source: parse(source).render(texts, budget, passwords))


def render_texts(templates: Mapping[str, str], names: Mapping[str, object]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Render templates that have no values, but these names.

    Returns:
        Texts by key, empty for a template that fails for what it is rendered with; and a sentence for each of those.

    Raises:
        SyncError: TemplateInvalid for a template that is wrong by itself.
    """
    _check_length("target.metadataFrom", templates, MAX_METADATA_SOURCE)
    from vaultsync.render.liquid.context import MAX_COST, Budget  # noqa: PLC0415  the same
    from vaultsync.render.liquid.engine import ContentError, Template, parse  # noqa: PLC0415  the same

    budget = Budget(MAX_COST // _METADATA_SHARE)
    notes: list[str] = []

    def rendered(key: str, template: Template) -> str:
        try:
            return template.render_text(names, budget)
        except ContentError as error:
            notes.append(f"Template {key}{error}; the text is left empty.")
            return ""

    parsed = _each(templates, lambda _, source: parse(source))
    return _each(parsed, rendered), tuple(notes)


def _check_length(field: str, templates: Mapping[str, str], limit: int) -> None:
    length = sum(map(len, templates.values()))
    if length > limit:
        raise SyncError(
            Reason.TEMPLATE_INVALID,
            f"The templates of {field} have {length} characters; all of them together may have {limit}.",
        )


def _each(items: Mapping[str, _Item], make: Callable[[str, _Item], _Content]) -> dict[str, _Content]:
    """Return what is made of each item, by key; a `TemplateError` of one becomes a `SyncError` with its key."""
    from vaultsync.render.liquid.engine import TemplateError  # noqa: PLC0415  the same

    contents: dict[str, _Content] = {}
    for key, item in items.items():
        try:
            contents[key] = make(key, item)
        except TemplateError as error:
            problem = f"Template {key}{error}."
            break
    else:
        return contents
    # Not inside the handler: its error would be the context.
    raise SyncError(Reason.TEMPLATE_INVALID, problem)
