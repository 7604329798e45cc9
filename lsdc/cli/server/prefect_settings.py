"""Prefect's settings in the processes of lsdc: ours alone, whatever the user has set for Prefect.

Prefect takes its settings from the environment, under several names each, from `.env`,
`prefect.toml` and `pyproject.toml` in the working folder, and from a profile. What is meant for
another installation must not reach our server, which would write into its database, nor our runs
and workers, which would not find their results. So every process of ours is given the user's
environment without any name that Prefect reads, then our settings; and it reads its files in a
folder that has none of these. What the user has set about an API is read before, by
`lsdc.cli.server.user_settings`.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from lsdc.cli.server.network import is_this_machine, reach_directly
from lsdc.store.home import Home

# All names that Prefect reads begin so, whatever their case; the last is of old versions.
_NAMES = ("PREFECT_", "ORION_ENCRYPTION_KEY")
# Nothing that runs here calls home.
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "NO_ALBUMENTATIONS_UPDATE": "1",
}
# What libraries of ours take for a file or folder, from wherever they are: workers run elsewhere.
_PLACES = (
    *("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"),
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_XET_CACHE", "HF_TOKEN_PATH"),
    *("TORCH_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_CACHE_PATH"),
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE"),
    *("PGPASSFILE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLCERT", "PGSSLKEY", "PGSSLROOTCERT"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "NETRC",
)
_EXPANDED = ("~", "$")  # by who reads it
# A folder of ours, which holds none of the files that Prefect reads settings from.
_WITHOUT_SETTINGS = Path(__file__).parent


@dataclass(frozen=True)
class Api:
    """A Prefect API.

    Attributes:
        url: what clients take as PREFECT_API_URL.
        client: how its clients are let in, as environment.
        is_own: whether it is the home's, which no proxy stands before.
    """

    url: str
    client: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_own: bool = True

    @property
    def environment(self) -> dict[str, str]:
        """Prefect's settings of its clients."""
        return {**self.client, "PREFECT_API_URL": self.url}


def own_api(address: str, password: str | None = None) -> Api:
    """The API of a server of ours, which asks for a password if it has one."""
    return Api(f"{address}/api", {"PREFECT_API_AUTH_STRING": password} if password else {})


def without_prefect(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what Prefect would read in it."""
    return {
        name: value for name, value in environment.items() if not name.upper().startswith(_NAMES)
    }


def own_environment(home: Home | None, api: Api | None = None) -> dict[str, str]:
    """The environment of a Prefect process of ours, to which its own settings are added.

    Args:
        home: where Prefect keeps its files; nowhere without it.
        api: what the process is a client of.
    """
    host = "" if api is None else urlsplit(api.url).hostname or ""
    direct = [host] if api is not None and (api.is_own or is_this_machine(host)) else []
    if home is not None:
        home.prefect.mkdir(exist_ok=True)  # as the umask says; Prefect shuts out all others
    folder = os.devnull if home is None else str(home.prefect)
    has_home = os.path.expanduser("~") != "~"  # noqa: PTH111 (which would raise)
    return {
        **_found_from_elsewhere(reach_directly(without_prefect(os.environ), direct)),
        **QUIET,
        **({} if has_home else {"HOME": folder}),  # of a user whom the system does not know
        "PREFECT_HOME": folder,
        "PREFECT_PROFILES_PATH": os.devnull,
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",  # no server that we did not start
        **({} if api is None else api.environment),
    }


@contextlib.contextmanager
def own_settings(environment: Mapping[str, str]) -> Iterator[None]:
    """Have Prefect, in this process and what it starts, go by this environment and nothing else."""
    before = dict(os.environ)
    _become(environment)
    try:
        with contextlib.chdir(_WITHOUT_SETTINGS):
            # Prefect reads its settings when it is imported, too.
            from prefect.context import refresh_global_settings_context

            refresh_global_settings_context()
        yield
    finally:
        _become(before)


def _found_from_elsewhere(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose files and folders processes in other folders find as well."""
    here = {
        name: str(Path(value).absolute())
        for name in _PLACES
        if (value := environment.get(name)) and not value.startswith(_EXPANDED)
    }
    return {**environment, **here}


def _become(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ |= environment
