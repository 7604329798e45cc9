"""The Prefect server that commands talk to: the one configured, else the one of the home."""

import base64
import json
import time
import urllib.error
import urllib.request
from http import HTTPStatus

from lsdc.cli.serve import running_server, share_passwords
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError, StageError
from lsdc.store.home import Home

_OWN_SECONDS = 120.0  # what a home's server has to come up, or to be started again
_POLL_SECONDS = 0.5


def reach_server(home: Home) -> str:
    """The API's address of a server that answers.

    Raises:
        SettingsError: there is none; says how to get one.
        StageError: the home's own does not answer.
    """
    if api := find_server(home):
        return api
    raise SettingsError(
        f"no Prefect server: none runs for {home.root}, and PREFECT_API_URL names none; start one "
        "with 'lsdc up', or set PREFECT_API_URL"
    )


def find_server(home: Home) -> str | None:
    """The API's address of the server configured, else of the home's own, if one runs; it answers.

    Raises:
        SettingsError: the one configured does not answer, or either asks for a password.
        StageError: the home's own does not answer.
    """
    api = configured_api()
    share_passwords(ours=api is None)
    if api is None:
        return _wait_for_own(home)
    try:
        _ask(api)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"PREFECT_API_URL is {api}, where no Prefect server answers ({error}); expected its "
            "API, as http://HOST:4200/api; start it, or unset it: 'lsdc up' brings a server, and "
            "so does 'lsdc run-local' for itself"
        ) from error
    return api


def configured_api() -> str | None:
    """What PREFECT_API_URL or Prefect's profile names."""
    from prefect.settings import PREFECT_API_URL

    return (PREFECT_API_URL.value() or "").rstrip("/") or None


def authorization() -> dict[str, str]:
    """The header that a server with a password asks for; none where we know of no password."""
    from prefect.settings import PREFECT_API_AUTH_STRING

    password = PREFECT_API_AUTH_STRING.value()
    if not password:
        return {}
    encoded = base64.b64encode(password.encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def _wait_for_own(home: Home) -> str | None:
    """The API of the server that runs for the home, once it answers; it is known before that."""
    until, told = time.monotonic() + _OWN_SECONDS, False
    while address := running_server(home):
        api = f"{address}/api"
        try:
            _ask(api)
            return api
        except (OSError, ValueError) as error:
            if time.monotonic() > until:
                raise StageError(
                    f"{api}: the Prefect server of {home.root} does not answer ({error}), and was "
                    f"waited for {_OWN_SECONDS:.0f} s; what it said stands where 'lsdc up' was "
                    f"started, or in {home.logs}"
                ) from error
        if not told:
            line = f"{api}: waiting for the Prefect server of {home.root}, which is not up yet"
            open_console(stderr=True).print(line, style="yellow", markup=False, soft_wrap=True)
            told = True
        time.sleep(_POLL_SECONDS)
    return None


def _ask(api: str) -> None:
    """See that a server answers, and that it knows us.

    Raises:
        SettingsError: it asks for a password.
        OSError: it does not answer.
        ValueError: what answers is no Prefect server.
    """
    asked = urllib.request.Request(f"{api}/admin/version", headers=authorization())
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.UNAUTHORIZED:
            raise
        raise SettingsError(
            f"{api}: the server asks for its password; set PREFECT_API_AUTH_STRING to what "
            "PREFECT_SERVER_API_AUTH_STRING is where it was started"
        ) from error
