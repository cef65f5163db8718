"""What must work without the parts of packages that `trim-packages.sh` leaves out of the image."""

from typing import Final

TRIMMED: Final = ("kubernetes", "babel", "pytz", "tzdata")
"""The packages that lose modules or data."""

IMPORTS_ALL: Final = """
from importlib import import_module
from pkgutil import walk_packages
import vaultsync
for each in walk_packages(vaultsync.__path__, "vaultsync."):
    if each.name.endswith("__main__"):
        continue
    try:
        import_module(each.name)
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in {"rich", "ruamel"}:
            raise
"""
"""A program that imports every module of the operator, but for those that need the extra cli, which the image lacks."""
