"""Pictures of a request: data URLs as they are, public http(s) addresses only if the server allows it.

A server that fetches what strangers name can be sent to places that only it can reach. So every address that
a name stands for is looked at, a private one is refused whatever the settings say, and the connection goes to
the very address that was looked at: a name that changes its mind in between leads nowhere. Where an answer
sends on, the next address is looked at in the same way.
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import httpx
from starlette.concurrency import run_in_threadpool

from apps.serving.errors import APIError
from apps.serving.settings import Settings
from model.picture_files import ImageError, TooManyPixels, opened

SECONDS_TO_FETCH = 10  # with all redirects
MOST_REDIRECTS = 3
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# what leads to IPv4 networks, where it leads anywhere (RFC 4291, 7915, 8215), and site-local addresses
_NEVER_PUBLIC = [
    ipaddress.ip_network(one) for one in ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "fec0::/10")
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def is_public(address: Address) -> bool:
    """Whether an address is on the public network; an IPv6 one may have an IPv4 one in it."""
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in network for network in _NEVER_PUBLIC):
            return False
        teredo = address.teredo[1] if address.teredo else None
        hidden = address.ipv4_mapped or address.sixtofour or teredo
        if address in _NAT64:
            hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(hidden)
    return address.is_global and not address.is_multicast


class Pictures:
    """The pictures of one request: what is fetched for it has one limit, however many they are.

    Args:
        settings: what is allowed. may_reach: which addresses are public.

    Attributes:
        pixels: of all that were taken.
    """

    def __init__(self, settings: Settings, may_reach: Callable[[Address], bool] = is_public) -> None:
        self.pixels = 0
        self._settings = settings
        self._may_reach = may_reach
        self._left = settings.max_body  # bytes

    async def take(self, url: str, param: str) -> str:
        """A picture's URL as a data URL that is small enough to be opened.

        Args:
            url: as the request has it. param: the field, for the error.

        Raises:
            APIError: it is neither kind of URL, may not be fetched, cannot be, or has too many pixels.
        """
        if url.startswith(("http://", "https://")):
            if not self._settings.image_urls:
                said = "this server fetches no pictures; send them as data URLs (data:image/png;base64,...)"
                raise APIError(400, said, param, "image_url_not_allowed")
            data = await fetch(url, self._left, param, self._may_reach)
            self._left -= len(data)
            url = f"data:;base64,{base64.b64encode(data).decode()}"
        elif not url.startswith("data:"):
            said = f"a picture is a data URL (data:image/png;base64,...), got {url[:40]!r}"
            raise APIError(400, said, param, "invalid_image_url")
        # there may be much of it to unpack
        self.pixels += await run_in_threadpool(pixels_of, url, self._settings.max_pixels, param)
        return url


def pixels_of(url: str, most: int, param: str) -> int:
    """How many pixels a data URL's picture has, before any of them is decoded.

    Raises:
        APIError: they are too many, or it is no picture.
    """
    try:
        with opened(url) as image:
            width, height = image.size
    except TooManyPixels as error:
        raise APIError(400, str(error), param, "image_too_large") from error
    except ImageError as error:
        raise APIError(400, str(error), param, "invalid_image") from error
    if width * height > most:
        said = f"the picture has {width} x {height} pixels; this server takes {most:,} at most"
        raise APIError(400, said, param, "image_too_large")
    return width * height


async def fetch(url: str, most: int, param: str, may_reach: Callable[[Address], bool] = is_public) -> bytes:
    """What stands at an http(s) address, if that is a public one and so is every one it sends on to.

    Args:
        url: of the picture. most: bytes that are read. param: the field, for the error.
        may_reach: which addresses are public.

    Raises:
        APIError: an address is private, there is nothing, it is too large, or it takes too long.
    """
    host = url[:100]
    try:
        async with asyncio.timeout(SECONDS_TO_FETCH):
            for _ in range(MOST_REDIRECTS + 1):
                host, port = _host_and_port(url, param)
                address = await _resolved(host, port, param, may_reach)
                found = await _read(url, host, address, most, param)
                if isinstance(found, bytes):
                    return found
                url = urljoin(url, found.location)
    except (TimeoutError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        said = f"the picture at {host} could not be fetched: {error or 'it took too long'}"
        raise APIError(400, said, param, "image_not_fetched") from error
    said = f"{host} sends on and on, more than {MOST_REDIRECTS} times"
    raise APIError(400, said, param, "image_not_fetched")


@dataclass(frozen=True)
class _Moved:
    """An answer that says where the picture is instead."""

    location: str


def _host_and_port(url: str, param: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        host, port = None, 0
    if not host or parts.username is not None:
        raise APIError(400, f"{url[:100]!r} is no address of a picture", param, "invalid_image_url")
    return host, port


async def _resolved(host: str, port: int, param: str, may_reach: Callable[[Address], bool]) -> Address:
    try:
        addresses = [ipaddress.ip_address(host.partition("%")[0])]
    except ValueError:  # a name, not an address
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [ipaddress.ip_address(entry[4][0].partition("%")[0]) for entry in found]
    if not all(map(may_reach, addresses)):
        raise APIError(400, f"{host} is not on the public network", param, "private_address")
    return addresses[0]


async def _read(url: str, host: str, address: Address, most: int, param: str) -> bytes | _Moved:
    literal = f"[{address}]" if isinstance(address, ipaddress.IPv6Address) else str(address)
    pinned, netloc = httpx.URL(url).copy_with(host=literal), urlsplit(url).netloc
    # a small answer that was packed may unfold into a large one
    headers = {"Host": netloc, "Accept-Encoding": "identity"}
    # no proxy of the environment, and no redirect on its own: either would lead where nobody has looked
    async with (
        httpx.AsyncClient(trust_env=False, follow_redirects=False) as client,
        client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as response,
    ):
        if response.has_redirect_location:
            return _Moved(response.headers["location"])
        if response.status_code != 200:
            said = f"{host} answered {response.status_code}, not with a picture"
            raise APIError(400, said, param, "image_not_fetched")
        if (packed := response.headers.get("content-encoding", "identity")) != "identity":
            said = f"{host} sends the picture packed ({packed[:20]}), though it was asked not to"
            raise APIError(400, said, param, "image_not_fetched")
        data = bytearray()
        async for part in response.aiter_raw():
            data += part
            if len(data) > most:
                said = f"the picture at {host} has more than {most:,} bytes, all that may still be fetched"
                raise APIError(400, said, param, "image_too_large")
    return bytes(data)
