"""The Prefect server that commands talk to: the one configured, else the one of the home."""

import base64
import json
import os
import urllib.error
import urllib.request
from http import HTTPStatus

from lsdc.cli.serve import running_server
from lsdc.errors import SettingsError
from lsdc.store.home import Home


def reach_server(home: Home) -> str:
    """The API's address of a server that answers.

    Raises:
        SettingsError: there is none; says how to get one.
    """
    api = configured_api() or running_api(home)
    if api is not None:
        require_answer(api)
        return api
    raise SettingsError(
        f"no Prefect server: none runs for {home.root}, and PREFECT_API_URL names none; start one "
        "with 'lsdc up', or set PREFECT_API_URL"
    )


def configured_api() -> str | None:
    """What PREFECT_API_URL or Prefect's profile names."""
    share_password()
    from prefect.settings import PREFECT_API_URL

    return PREFECT_API_URL.value() or None


def running_api(home: Home) -> str | None:
    """The API of the server that runs for the home, if one does."""
    address = running_server(home)
    return None if address is None else f"{address}/api"


def share_password() -> None:
    """A server's own password is its clients' as well, where they are given no other."""
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)


def authorization() -> dict[str, str]:
    """The header that a server with a password asks for; none where we know of no password."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    password = PREFECT_API_AUTH_STRING.value()
    if not password:
        return {}
    encoded = base64.b64encode(password.encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def require_answer(api: str) -> None:
    """See that a server answers, and that it knows us.

    Raises:
        SettingsError: it does not.
    """
    asked = urllib.request.Request(f"{api}/admin/version", headers=authorization())
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            json.load(answer)
    except (OSError, ValueError) as error:
        if isinstance(error, urllib.error.HTTPError) and error.code == HTTPStatus.UNAUTHORIZED:
            raise SettingsError(
                f"{api}: the server asks for its password; set PREFECT_API_AUTH_STRING to what "
                "PREFECT_SERVER_API_AUTH_STRING is where it was started"
            ) from error
        raise SettingsError(
            f"PREFECT_API_URL is {api}, where no Prefect server answers ({error}); expected its "
            "API, as http://HOST:4200/api; start it, or unset it: 'lsdc up' brings a server, and "
            "so does 'lsdc run-local' for itself"
        ) from error
