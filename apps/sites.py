"""What other web sites may do with the page: nothing, but that those who are named may show it in a frame.

Three locks, each for something that a browser would else allow:

- The content security policy lets the page load nothing from other machines, whatever a model or a person
  writes.
- It also says who may frame the page: itself, and sites that were named when it was started. Another site
  could lay its own buttons over it. A Space is named to huggingface.co (`apps/deploy/space/app.py`).
- A request that another site's script sends is refused. Gradio would let every site read its answers, a
  login's token among them, unless the page's address is `localhost`.

The page's own address is not asked for: a proxy may show it under any name. Browsers say themselves whether a
request comes from the page's own site (`Sec-Fetch-Site`, which no script can set and proxies pass on). Where
they do not, over http and not on this machine, the origin is held against the name that was asked for. Links
and frames carry no origin, and neither do programs, which no visitor can be tricked into running.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Gradio compiles templates in the browser ('unsafe-eval') and starts with inline scripts; the view is a blob
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
SITE = re.compile(r"https?://[a-z0-9-]+(\.[a-z0-9-]+)*(:\d{1,5})?", re.IGNORECASE)
REFUSED = "Another web site asked for this. The page answers to its own address; open it there."


class OwnSite:
    """Middleware: puts the three locks on.

    Args:
        framed_by: sites that may show the page in a frame, as `sites_of` gives them.
        address: the page's whole address, where a proxy hides the name that browsers ask for; else a path or
            nothing, which says nothing of its name.
    """

    def __init__(self, app: ASGIApp, framed_by: Sequence[str] = (), address: str = "") -> None:
        self.app = app
        self.policy = " ".join((POLICY, *framed_by))
        self.name = urlsplit(address).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse the request, or pass it on and add the policy to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = self.policy
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        foreign = self._foreign(Headers(scope=scope))
        app = PlainTextResponse(REFUSED, status_code=403) if foreign else self.app
        await app(scope, receive, with_policy)

    def _foreign(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None:
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        name = urlsplit(origin).netloc  # empty of "null", which a site in a sandbox gives
        return not name or name not in (headers.get("host"), self.name)


def sites_of(listed: str) -> tuple[str, ...]:
    """Web sites as the command line names them: "https://huggingface.co,https://example.org:8443".

    Raises:
        argparse.ArgumentTypeError: one of them is none.
    """
    sites = tuple(one.strip().rstrip("/") for one in listed.split(","))
    for site in sites:
        if not SITE.fullmatch(site):
            raise argparse.ArgumentTypeError(
                f"{site!r} is no web site; expected https://NAME without a path, several with commas between"
            )
    return sites
