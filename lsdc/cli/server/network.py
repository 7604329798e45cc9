"""Bypass proxies for our own servers, and find unusable proxy and certificate settings."""

import ipaddress
import socket
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_NO_PROXY = ("NO_PROXY", "no_proxy")
_CERTIFICATES = "SSL_CERT_FILE"
# File for Python's TLS key log; if it cannot be written, all connections fail.
KEY_LOG = "SSLKEYLOGFILE"
# Opens URLs of our own servers, which are never behind a proxy.
open_directly = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def reach_directly(environment: Mapping[str, str], hosts: Iterable[str] = ()) -> dict[str, str]:
    """Return an environment in which no proxy is used for this machine, nor for `hosts`.

    Variables that HTTP clients refuse are left out; they would break even local connections.
    """
    unusable = find_unusable(environment)
    kept = {name: value for name, value in environment.items() if name not in unusable}
    listed = [
        host.strip().strip("[]") for name in _NO_PROXY for host in kept.get(name, "").split(",")
    ]
    past = [*filter(_can_be_passed, listed), *LOOPBACK, socket.gethostname(), *hosts]
    return kept | dict.fromkeys(_NO_PROXY, ",".join(dict.fromkeys(past)))


def is_this_machine(host: str) -> bool:
    """Return whether a host name or address is this machine's, for which no proxy is used."""
    if host in LOOPBACK or host.casefold() == socket.gethostname().casefold():
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if address.is_unspecified or address.is_loopback:
        return True
    own = {each.address for some in psutil.net_if_addrs().values() for each in some}
    return str(address) in own


def find_unusable(environment: Mapping[str, str]) -> dict[str, str]:
    """Return proxy and certificate variables that HTTP clients refuse, each with the reason."""
    found = {
        name: _why_not_proxy(value)
        for name, value in environment.items()
        if name.upper() in _PROXIES and value
    }
    if path := environment.get(_CERTIFICATES):
        found[_CERTIFICATES] = why_not_certificates(path)
    if path := environment.get(KEY_LOG):
        found[KEY_LOG] = _why_not_written(path)
    return {name: reason for name, reason in found.items() if reason}


def why_not_certificates(path: str) -> str:
    """Return why certificates cannot be read from a file; an empty string if they can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        return f"{path} contains no certificates"
    except OSError as error:
        return f"{path}: {error.strerror}"
    return ""


def hide_password(url: str) -> str:
    """Return a URL without its user name and password."""
    before, sign, after = url.partition("//") if "//" in url else ("", "", url)
    host, slash, path = after.partition("/")
    return f"{before}{sign}{host.rpartition('@')[2]}{slash}{path}"


def _why_not_written(path: str) -> str:
    try:
        with Path(path).open("ab"):
            return ""
    except OSError as error:
        return f"{path}: {error.strerror}"


def _why_not_proxy(url: str) -> str:
    import httpx

    try:
        httpx.Client(
            proxy=url if "://" in url else f"http://{url}", verify=False, trust_env=False
        ).close()
    except ImportError:
        return f"{hide_password(url)} needs a library for SOCKS: pip install 'httpx[socks]'"
    except (ValueError, httpx.InvalidURL):
        return f"{hide_password(url)} is not the address of a proxy, such as http://HOST:PORT"
    return ""


def _can_be_passed(host: str) -> bool:
    """Return whether httpx, Prefect's HTTP client, can parse an entry of NO_PROXY."""
    import httpx

    if not host:
        return False
    try:
        address = ipaddress.ip_interface(host)
    except ValueError:
        pattern = host if "://" in host else f"all://*{host.removeprefix('*')}"
    else:
        pattern = f"all://{host}" if address.version == 4 else f"all://[{host}]"
    try:
        httpx.Client(mounts={pattern: None}, verify=False, trust_env=False).close()
    except (ValueError, httpx.InvalidURL):
        return False
    return True
