"""Read the user's Prefect settings that lsdc respects: API, authentication, server password.

They are found where Prefect finds them: environment, `.env`, `prefect.toml`, `pyproject.toml`, a
profile. All other settings are for other installations; they are removed by
`lsdc.cli.server.prefect_settings`.
"""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lsdc.cli.server.network import (
    KEY_LOG,
    find_unusable,
    hide_password,
    is_this_machine,
    why_not_certificates,
)
from lsdc.cli.server.prefect_settings import QUIET, Api, own_environment, own_settings
from lsdc.cli.streams import open_console
from lsdc.errors import SettingsError

_URL, _CERTIFICATES = "PREFECT_API_URL", "PREFECT_API_SSL_CERT_FILE"
# Settings for reaching the user's API and authenticating there; we choose all others.
OBEYED = {
    "api": (
        *("url", "key", "auth_string", "ssl_cert_file"),
        *("tls_insecure_skip_verify", "enable_http2", "request_timeout"),
    ),
    "client": (
        *("custom_headers", "csrf_support_enabled"),
        *("max_retries", "retry_jitter_factor", "retry_extra_codes"),
    ),
    "cloud": ("api_url", "ui_url"),
}


@dataclass(frozen=True)
class UserSettings:
    """The user's settings.

    Attributes:
        api: the configured API, or None.
        source: where the API is configured.
        server_password: USER:PASSWORD for servers started here.
        client_password: USER:PASSWORD that clients authenticate with.
    """

    api: Api | None
    source: str
    server_password: str | None = field(repr=False)
    client_password: str | None = field(repr=False)

    @property
    def own_password(self) -> str | None:
        """The USER:PASSWORD for the home's server, wherever it was started."""
        return self.server_password or self.client_password


def read_user_settings() -> UserSettings:
    """Read the user's Prefect settings; report proxies and certificates that are ignored.

    Raises:
        SettingsError: a settings file cannot be read, or a value is invalid.
    """
    unusable = find_unusable(os.environ)
    places = _Places()
    found = UserSettings(None, "", None, None) if places.are_empty else _read(places, unusable)
    for name, reason in unusable.items():
        line = f"{name}: {reason}; ignored, as Prefect's server is reached without it"
        open_console(stderr=True).print(line, style="yellow", markup=False, soft_wrap=True)
    return found


def _read(places: "_Places", unusable: Mapping[str, str]) -> UserSettings:
    with own_settings(own_environment(None)):  # Prefect reads settings on import, too
        import prefect.settings  # noqa: F401
    places.require_profile()
    url = places.read(("api",), ("url",)).get(_URL, "").rstrip("/")
    passwords = places.read(("server", "api"), ("auth_string",))
    passwords |= places.read(("api",), ("auth_string",))
    server_password = passwords.get("PREFECT_SERVER_API_AUTH_STRING") or None
    client_password = passwords.get("PREFECT_API_AUTH_STRING") or None
    api, source = None, ""
    if url:
        source = places.source(("api",), "url")
        client: dict[str, str] = {}
        for group, names in OBEYED.items():
            client |= places.read((group,), names)
        if server_password and not client_password and not client.get("PREFECT_API_KEY"):
            client["PREFECT_API_AUTH_STRING"] = server_password
        _check(url, source, client, unusable)
        if path := client.get(_CERTIFICATES):  # absolute, for processes in other folders
            client[_CERTIFICATES] = str(Path(path).absolute())
        api = Api(url, client, is_own=False)
    return UserSettings(api, source, server_password, client_password)


def _check(url: str, source: str, client: Mapping[str, str], unusable: Mapping[str, str]) -> None:
    """Refuse an API that cannot be reached with these settings."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        raise SettingsError(
            f"{source} is {hide_password(url)!r}, expected the address of a Prefect API such as "
            "http://HOST:4200/api; correct it, or unset it"
        )
    if parts.scheme == "http" and is_this_machine(parts.hostname or ""):
        return  # neither proxies nor certificates matter
    refused = {name: reason for name, reason in unusable.items() if name != KEY_LOG}
    if path := client.get(_CERTIFICATES):
        refused[_CERTIFICATES] = why_not_certificates(path)
    for name, reason in refused.items():
        if reason:
            raise SettingsError(
                f"{name}: {reason}, so {hide_password(url)}, from {source}, cannot be reached; "
                f"correct {name}, or unset it"
            )


class _Places:
    """The sources of Prefect's settings, in order of precedence."""

    def __init__(self) -> None:
        here = Path.cwd()
        self.environment = {name.upper(): value for name, value in os.environ.items()}
        self.dotenv = self._read_dotenv(here / ".env")
        self.files = {
            here / "prefect.toml": (),
            here / "pyproject.toml": ("tool", "prefect"),
        }
        self.tables = {path: _read_toml(path) for path in self.files}
        self.profiles = _read_toml(self.profiles_path)

    @property
    def are_empty(self) -> bool:
        """Whether the user has set nothing for Prefect, which then need not be imported yet."""
        names = {*self.environment, *self.dotenv} - QUIET.keys()
        tables = [self._table(path, header) for path, header in self.files.items()]
        return not any((*tables, self.profiles, *(name.startswith("PREFECT") for name in names)))

    def _read_dotenv(self, path: Path) -> dict[str, str | None]:
        if not path.is_file():
            return {}
        from dotenv import dotenv_values

        try:
            found = dotenv_values(path, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise _unreadable(path, error) from None
        return {name.upper(): value for name, value in found.items()}

    def _set(self, *keys: str) -> Iterator[tuple[Any, str]]:
        """Yield the values of a setting with their sources, except for the profile."""
        name = _variable(*keys)
        if name in self.environment:
            yield self.environment[name], f"the environment variable {name}"
        if name in self.dotenv:
            yield self.dotenv[name], f"{name} in {Path.cwd() / '.env'}"
        for path, header in self.files.items():
            value = self._table(path, (*header, *keys))
            if value is not None:
                yield value, f"{'.'.join((*header, *keys))} in {path}"

    def _table(self, path: Path, keys: tuple[str, ...]) -> Any:
        """Return the table or value under these keys of a file; None if there is none."""
        value: Any = self.tables[path]
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @cached_property
    def profiles_path(self) -> Path:
        """The file of the user's profiles."""
        found = next(self._set("profiles_path"), None)
        if found is not None and found[0]:
            return Path(found[0])
        folder = self.environment.get("PREFECT_HOME") or "~/.prefect"
        return Path(os.path.expanduser(folder)) / "profiles.toml"  # noqa: PTH111 (may be no home)

    @property
    def profile(self) -> str:
        """The name of the active profile."""
        return str(self.environment.get("PREFECT_PROFILE") or self.profiles.get("active") or "")

    def require_profile(self) -> None:
        """Require that the chosen profile exists.

        Raises:
            SettingsError: it does not.
        """
        from prefect.settings import DEFAULT_PROFILES_PATH

        known = {**_read_toml(DEFAULT_PROFILES_PATH)["profiles"], **self._all_profiles}
        if self.profile and self.profile not in known:
            chosen = "PREFECT_PROFILE" if self.environment.get("PREFECT_PROFILE") else "active"
            raise SettingsError(
                f"{chosen} is {self.profile}, which is not a profile in {self.profiles_path}, "
                f"expected one of {', '.join(sorted(known))}; choose one with 'prefect profile use'"
            )

    @property
    def _all_profiles(self) -> dict[str, Any]:
        found = self.profiles.get("profiles", {})
        return found if isinstance(found, dict) else {}

    def source(self, group: tuple[str, ...], setting: str) -> str:
        """Return where a setting's value comes from."""
        found = next(self._set(*group, setting), None)
        if found is not None:
            return found[1]
        return f"{_variable(*group, setting)} of the profile {self.profile} in {self.profiles_path}"

    def read(self, group: tuple[str, ...], settings: tuple[str, ...]) -> dict[str, str]:
        """Read the settings of a group as environment variables; ignore all others in the group.

        Raises:
            SettingsError: a value is invalid.
        """
        from prefect.settings import Settings
        from pydantic import ValidationError
        from pydantic_settings import SettingsError as UnreadableError

        model: Any = Settings
        for name in group:
            model = model.model_fields[name].annotation
        others = {
            name: each.get_default(call_default_factory=True)
            for name, each in model.model_fields.items()
            if name not in settings
        }
        try:
            found = model(**others)
        except ValidationError as error:
            what = error.errors(include_input=False, include_url=False)[0]
            source = self.source(group, str(what["loc"][0]))
            raise SettingsError(f"{source}: {what['msg']}; correct it, or unset it") from None
        except UnreadableError as error:
            raise SettingsError(
                f"Prefect's settings: {' '.join(str(error).split())}; correct it, or unset it"
            ) from None
        except (AttributeError, TypeError):  # raised by Prefect if there is no table
            files = [str(path) for path in (*self.files, self.profiles_path) if path.exists()]
            raise SettingsError(
                f"one of {', '.join(files)} has a value where Prefect expects a table of settings; "
                "correct it, or move it away"
            ) from None
        wanted = {_variable(*group, name) for name in settings if name in found.model_fields_set}
        as_environment = found.to_environment_variables(exclude_unset=True)
        return {name: value for name, value in as_environment.items() if name in wanted}


def _variable(*keys: str) -> str:
    return "_".join(("PREFECT", *keys)).upper()


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return SettingsError(
        f"{path}: cannot be read ({reason}) for Prefect's settings; correct it, or move it away"
    )
