"""Find the Prefect server that commands talk to: the configured one, else the home's."""

import base64
import json
import time
import urllib.error
import urllib.request
from http import HTTPStatus

from lsdc.cli.server.network import hide_password, open_directly
from lsdc.cli.server.prefect_settings import Api, own_api, own_environment, own_settings
from lsdc.cli.server.process import running_server
from lsdc.cli.server.user_settings import UserSettings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError, StageError
from lsdc.store.home import Home

_OWN_SECONDS = 120.0  # time for a home's server to start or restart
_POLL_SECONDS = 0.5
_REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)


def require_server(home: Home, user: UserSettings) -> Api:
    """Return the API of a server that answers.

    Raises:
        SettingsError: there is no server; the message says how to get one.
        StageError: the home's own server does not answer.
    """
    if api := find_server(home, user):
        return api
    raise SettingsError(
        f"no Prefect server: none is running for {home.root}, and PREFECT_API_URL is not set; "
        "start one with 'lsdc up', or set PREFECT_API_URL"
    )


def find_server(home: Home, user: UserSettings) -> Api | None:
    """Return the API of the configured server, else of the home's if it runs; check it answers.

    Raises:
        SettingsError: the configured server does not answer, or either server denies access.
        StageError: the home's own server does not answer.
    """
    if user.api is None:
        return _wait_for_own(home, user)
    _ask_configured(user.api, user.source)
    return user.api


def authorization(api: Api) -> dict[str, str]:
    """Return the header for a password-protected server of ours; empty if no password is known."""
    password = api.client.get("PREFECT_API_AUTH_STRING")
    if not password:
        return {}
    encoded = base64.b64encode(password.encode()).decode()
    return {"Authorization": f"Basic {encoded}"}


def _wait_for_own(home: Home, user: UserSettings) -> Api | None:
    """Return the API of the home's server once it answers; its address is known before that."""
    until, is_printed = time.monotonic() + _OWN_SECONDS, False
    while address := running_server(home):
        api = own_api(address, user.own_password)
        try:
            _ask_own(api)
            return api
        except (OSError, ValueError) as error:
            if time.monotonic() > until:
                raise StageError(
                    f"{api.url}: the Prefect server of {home.root} does not answer ({error}) after "
                    f"{_OWN_SECONDS:.0f} s; see its output, in the terminal of 'lsdc up' or in "
                    f"{home.logs}"
                ) from error
        if not is_printed:
            line = f"{api.url}: waiting until the Prefect server of {home.root} has started"
            open_console(stderr=True).print(line, style="yellow", markup=False, soft_wrap=True)
            is_printed = True
        time.sleep(_POLL_SECONDS)
    return None


def _ask_own(api: Api) -> None:
    """Check that the home's server answers and grants access.

    Raises:
        SettingsError: the server requires a password.
        OSError: the server does not answer.
        ValueError: the answer is not a Prefect server's.
    """
    request = urllib.request.Request(f"{api.url}/admin/version", headers=authorization(api))
    try:
        with open_directly(request, timeout=30) as answer:
            json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.UNAUTHORIZED:
            raise
        raise SettingsError(
            f"{api.url}: the server requires its password; set PREFECT_API_AUTH_STRING to the "
            "PREFECT_SERVER_API_AUTH_STRING that the server was started with"
        ) from error


def _ask_configured(api: Api, source: str) -> None:
    """Check that a configured API answers and grants access, with Prefect's own client settings.

    Raises:
        SettingsError: it does not answer, denies access, or is no Prefect API.
    """
    import httpx
    from prefect.exceptions import PrefectException

    where = hide_password(api.url)
    with own_settings(own_environment(None, api) | {"PREFECT_CLIENT_MAX_RETRIES": "0"}):
        from prefect.client.orchestration import get_client

        try:
            with get_client(sync_client=True) as client:
                client.read_flows(limit=1)
            return
        except (httpx.HTTPError, PrefectException, RuntimeError, OSError, ValueError) as error:
            cause = error.__cause__ or error
    if isinstance(cause, httpx.HTTPStatusError) and cause.response.status_code in _REFUSED:
        sent = [
            name for name in ("PREFECT_API_AUTH_STRING", "PREFECT_API_KEY") if api.client.get(name)
        ]
        refused = (
            f"the server rejects {sent[0]}" if sent else "the server requires a password or key"
        )
        raise SettingsError(
            f"{where}, from {source}: {refused}; set PREFECT_API_AUTH_STRING to the "
            "PREFECT_SERVER_API_AUTH_STRING that the server was started with, or PREFECT_API_KEY "
            "for Prefect Cloud"
        )
    reason = (str(cause).splitlines() or ["no answer in time"])[0]
    raise SettingsError(
        f"{where}, from {source}: no Prefect server answers there ({reason}), expected its API, "
        "such as http://HOST:4200/api; start that server, or unset the address: 'lsdc up' and "
        "'lsdc run-local' start their own server"
    )
