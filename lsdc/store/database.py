"""Database: the PostgreSQL of an installation, whose address Prefect's server and locks share."""

from typing import TYPE_CHECKING

from lsdc.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import URL

DATABASE = "LSDC_DATABASE_URL"
_SCHEMES = ("postgres", "postgresql", "postgresql+asyncpg")


def is_postgresql(address: str) -> bool:
    """Whether it is the address of a PostgreSQL, as far as its scheme tells."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme in _SCHEMES


def parse_address(address: str, source: str) -> "URL":
    """The parts of a PostgreSQL's address; `source` is where it was given.

    Raises:
        SettingsError: it cannot be read. It is not repeated, password and all.
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
    except (ArgumentError, ValueError):  # whose words repeat the address
        raise SettingsError(
            f"{source}: expected postgresql://USER:PASSWORD@HOST/NAME with one host, found an "
            "address that cannot be read; write / @ and the like in a password as %2F, %40"
        ) from None
    return url
