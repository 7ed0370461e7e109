"""A process as in Lambda with its log level at DEBUG, in which every secret is a canary. Prints all that it logged.

Run as a program. One server on loopback is AWS's stores of secrets and all vendors; it answers in one way after the
other, and repeats what it was sent in many encodings.
"""

from __future__ import annotations

import html
import io
import json
import logging
import os
import re
import tempfile
import threading
import time
import traceback
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "CANARY"

SESSION = f"{MARK}-of-the-session//+0123456789=="

EVENT = {
    "Records": [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            # Whoever uploads may call himself as he likes.
            "userIdentity": {"principalId": SESSION},
            "requestParameters": {"sourceIPAddress": SESSION},
            "s3": {"bucket": {"name": "acme-site"}, "object": {"key": "a.css"}},
        }
    ]
}

CONFIG = """\
version: 1
providers:
  fastly: {{endpoint: "{url}", service: SU1, token: "${{ssm:/canary/fastly}}"}}
  akamai: {{endpoint: "{url}", client_token: "${{secretsmanager:canary#a}}",
           client_secret: "${{secretsmanager:canary#b}}", access_token: "${{secretsmanager:canary#c}}"}}
  edgerc: {{type: akamai, endpoint: "{url}", edgerc: "${{ssm:/canary/edgerc}}"}}
  cloudflare: {{endpoint: "{url}", zone: z1, token: "${{ssm:/canary/cloudflare}}"}}
  keyed: {{type: cloudflare, endpoint: "{url}", zone: z1, email: "{mark}@acme.com", key: "${{ssm:/canary/key}}"}}
  cloudfront: {{endpoint: "{url}", distribution: E1}}
  edgecast: {{endpoint: "{url}", account: A1, token: "${{ssm:/canary/edgecast}}"}}
  highwinds: {{endpoint: "{url}", account: a1b2c3d4, token: "${{ssm:/canary/highwinds}}"}}
  login: {{type: highwinds, endpoint: "{url}", account: a1b2c3d4, user: u, password: "${{ssm:/canary/password}}"}}
  pixboost: {{endpoint: "{url}", domain: pixboost.com, secret: "${{ssm:/canary/pixboost}}"}}
routes:
  - bucket: acme-site
    urls: ["https://www.acme.com/{{key}}"]
    purge: [fastly, akamai, edgerc, cloudflare, keyed, cloudfront, edgecast, highwinds, login, pixboost]
"""

ENCODINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "HTML": lambda text: f"<html><body>{html.escape(text)}</body></html>",
    "decimal": lambda text: "".join(f"&#{ord(letter)};" for letter in text),
    "percent": lambda text: quote(text, safe=""),
    "plus": quote_plus,
    "JSON": lambda text: json.dumps({"error": "refused", "message": f"you sent {text}"}),
    "escaped": lambda text: json.dumps({"errors": ["".join(f"\\u{ord(letter):04x}" for letter in text)]}),
    "base64": lambda text: b64encode(text.encode()).decode(),
    "XML": lambda text: (
        "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code>"
        f"<Message>{html.escape(' '.join(text.split()))}</Message></Error></ErrorResponse>"
    ),
}


def secret(name: str) -> str:
    """The canary of a name; some have characters that are encoded, those for headers no blank."""
    value = f"{MARK}-{name}/+x=y&z%41~'<"
    if "edgerc" in name:
        tokens = "".join(f"{key} = {MARK}-{key}\n" for key in ("client_token", "client_secret", "access_token"))
        return f"[default]\nhost = 127.0.0.1\n{tokens}"
    return f"{value} and blanks" if "password" in name or "pixboost" in name else value


class Everybody(BaseHTTPRequestHandler):
    """The stores of secrets, which answer as they should unless they are out, and the vendors, which don't."""

    protocol_version = "HTTP/1.1"
    status, encode = 200, staticmethod(str)
    stores_out = False

    def answer(self) -> None:
        """Answer any request."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        action = self.headers.get("X-Amz-Target", "")
        if action:
            status, text = self.of_store(json.loads(body))
        elif self.path == "/auth/token" and self.status == 200:
            status, text = 200, json.dumps({"access_token": f"{MARK}-bearer", "expires_in": 3600})
        else:
            # A log quotes no more than the beginning of an answer, so what matters stands there.
            query = self.path.partition("?")[2]
            odd = [value for name, value in self.headers.items() if MARK in value or name == "Authorization"]
            status, text = self.status, Everybody.encode(" ".join((query, *odd, body)))
        raw = text.encode()
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(raw)), "X-Echo": quote(str(self.headers)[:2000])}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def of_store(self, asked: dict[str, Any]) -> tuple[int, str]:
        """What SSM and Secrets Manager say."""
        if self.stores_out:
            return 400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"})
        if "Name" in asked:
            return 200, json.dumps({"Parameter": {"Name": asked["Name"], "Value": secret(asked["Name"])}})
        return 200, json.dumps({"Name": "canary", "SecretString": json.dumps({key: secret(key) for key in "abc"})})

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

    def log_message(self, *_: object) -> None:
        """Say nothing."""


# A purge by hand, whose reason a person has pasted.
QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/work"
JOB = {
    "multicdn": 1, "provider": "fastly", "action": "purge", "kind": "url", "attempt": 0, "since": 0,
    "targets": ["https://www.acme.com/a.css"], "behind": {"groups": [{"by": SESSION, "why": f"it is {SESSION}"}]},
}  # fmt: skip
BY_HAND = {
    "Records": [
        {
            "messageId": "m1",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:work",
            "body": json.dumps(JOB),
        }
    ]
}


def blackened(log: str, provider: str) -> bool:
    """Whether the log has a reason of a provider in which a secret stood."""
    return re.search(rf'"provider": "{provider}".*"reason": ".*\[secret\]', log) is not None


def main() -> None:
    """Let the function meet each answer, and print what the root logger was told, and what was raised."""
    stream = io.StringIO()
    logging.basicConfig(stream=stream, level=logging.DEBUG, format="%(name)s %(levelname)s %(message)s")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Everybody)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    os.environ.update(
        AWS_ACCESS_KEY_ID="AKIDEXAMPLE",
        AWS_SECRET_ACCESS_KEY=f"{MARK}-of-aws/+0123456789",
        AWS_SESSION_TOKEN=SESSION,
        AWS_REGION="us-east-1",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL_SSM=url,
        AWS_ENDPOINT_URL_SECRETS_MANAGER=url,
        MULTICDN_LOG_LEVEL="DEBUG",
    )
    from multicdn import config, log
    from multicdn.dispatcher import Dispatcher
    from multicdn.plugins.discovery import Plugins

    log.configure()
    plugins = Plugins()
    path = Path(tempfile.mkdtemp()) / "multicdn.config.yml"
    path.write_text(CONFIG.format(url=url, mark="someone"))
    loaded = config.load(path, plugins=plugins)

    def meet(seconds: float) -> None:
        try:
            print(Dispatcher(loaded, plugins).dispatch(EVENT, seconds))
        except Exception:  # noqa: BLE001 - what it says is what is looked at
            print(traceback.format_exc())

    def meet_until(told: Callable[[], bool], seconds: float) -> None:
        """A busy machine takes a while to load the SDKs."""
        until = time.monotonic() + seconds
        while not told() and time.monotonic() < until:
            meet(1.0)

    meet_until(lambda: all(f'"provider": "{name}"' in stream.getvalue() for name in loaded.providers), 20.0)
    # What follows a login is only seen after one; from here on there is none.
    meet_until(lambda: blackened(stream.getvalue(), "login"), 10.0)
    for Everybody.encode in ENCODINGS.values():  # type: ignore[assignment]
        Everybody.status = 400
        meet(0.4)
    # In AWS's own words, which are the last of these.
    meet_until(lambda: blackened(stream.getvalue(), "cloudfront"), 8.0)
    Everybody.encode = staticmethod(ENCODINGS["JSON"])
    for Everybody.stores_out in (False, True):
        for Everybody.status in (200, 302, 401, 404, 429, 503):
            meet(0.4)
        for provider in loaded.providers.values():
            print(repr(provider))
            for each in provider.secrets():
                each.forget()
    # A busy machine may not have come so far with each of them.
    Everybody.status, Everybody.stores_out = 400, False
    meet_until(lambda: all(blackened(stream.getvalue(), name) for name in loaded.providers), 20.0)
    Dispatcher(loaded, plugins, own_queue=QUEUE).dispatch(BY_HAND, 0.4)
    print(stream.getvalue())


if __name__ == "__main__":
    main()
