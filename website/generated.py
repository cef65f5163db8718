"""The pages that are generated from the code, by their files; writes none."""

from pathlib import Path
from typing import Final

from vaultsync.api.schema import vault_grant_crd, vault_secret_crd
from website.fields import fields_page
from website.settings import settings_page

_REFERENCE: Final = Path(__file__).parents[1] / "docs" / "reference"


def generated_pages() -> dict[Path, str]:
    """Return the text of each page by its file."""
    return {
        _REFERENCE / "vaultsecret.md": fields_page(vault_secret_crd()),
        _REFERENCE / "vaultgrant.md": fields_page(vault_grant_crd()),
        _REFERENCE / "settings.md": settings_page(),
    }
