"""The address of an installation's PostgreSQL, shared by Prefect's server and the locks."""

from typing import TYPE_CHECKING

from lsdc.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import URL

DATABASE = "LSDC_DATABASE_URL"
_SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")


def is_postgresql(address: str) -> bool:
    """Return whether an address is a PostgreSQL's, judged by its scheme."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme in _SCHEMES


def parse_address(address: str, source: str) -> "URL":
    """Parse the address of a PostgreSQL; `source` says in messages where it was given.

    Raises:
        SettingsError: the address is not valid; it is not quoted, as it may hold a password.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    if not is_postgresql(address):
        scheme, separator, _ = address.partition("://")
        found = f"{scheme}://..." if separator else "an address without '://'"
        raise SettingsError(f"{source}: expected postgresql://USER:PASSWORD@HOST/NAME, got {found}")
    try:
        url = make_url(address)
        if set(url.host or "") & set("@[]"):
            raise ValueError
    except (ArgumentError, ValueError):  # its message would quote the address
        raise SettingsError(
            f"{source}: expected postgresql://USER:PASSWORD@HOST/NAME with one host, found an "
            "invalid address; write special characters in the password as %2F for / and %40 for @"
        ) from None
    return url
