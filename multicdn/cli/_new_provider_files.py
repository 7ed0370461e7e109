"""The files that ``multicdn new-provider`` writes, as they are for a vendor called acme.

Every spelling of the vendor's name in them is exchanged: acme, Acme, ACME, multicdn_acme, test_acme, acme_api.
"""

from __future__ import annotations

PYPROJECT = """\
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "multicdn-acme"
version = "0.1.0"
description = "Acme for multicdn: purge what changed in S3"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["multicdn>=@VERSION@"]

[project.optional-dependencies]
test = ["mypy>=1.11", "pytest>=8.3"]

# The name by which config files say `type: acme`, and the class behind it. After a change: pip install -e . once more.
[project.entry-points."multicdn.providers"]
acme = "multicdn_acme:Acme"

[tool.setuptools.package-data]
multicdn_acme = ["py.typed"]

[tool.pytest.ini_options]
testpaths = ["tests"]
filterwarnings = ["error"]

[tool.mypy]
strict = true
files = ["src", "tests"]
"""

PLUGIN = '''\
"""Acme, for multicdn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar
from urllib.parse import quote

from multicdn.http import Http
from multicdn.provider import Call, Limits, PurgeUrls, Receipt, Secret, option


@dataclass(frozen=True, kw_only=True)
class Acme(PurgeUrls):
    """Acme: purge single URLs."""

    docs: ClassVar[str] = "https://docs.acme.example/purge"
    permissions: ClassVar[tuple[str, ...]] = ("purge, on the zone",)
    example: ClassVar[Mapping[str, str]] = {"zone": "www", "token": "${ssm:/multicdn/acme/token}"}

    zone: str = option(help="name of the zone")
    token: Secret = option(repr=False, help="API token that may purge")
    endpoint: str = option(default="https://api.acme.example", help="base URL of the API")

    # At most 30 URLs a call: https://docs.acme.example/limits
    url_limits = Limits(targets=30)

    @cached_property
    def _api(self) -> Http:
        return Http(self.endpoint, headers=lambda: {"Authorization": f"Bearer {self.token.reveal()}"})

    def purge_urls(self, urls: Sequence[str], call: Call) -> Receipt:
        """Drop these URLs from the cache."""
        target = f"/zones/{quote(self.zone, safe='')}/purge"
        answer = self._api.send("POST", target, call, json={"urls": list(urls)})
        return Receipt(id=answer.text("id"))
'''

TESTS = '''\
"""Acme keeps what the contract promises. Only its API is simulated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from multicdn.plugins.discovery import Plugins
from multicdn.provider import Call, Secret
from multicdn.testing.conformance import ProviderConformance, Vendor
from multicdn.testing.recording import RecordingVendor, Request, Response

from multicdn_acme import Acme

TOKEN = "token-for-tests-only"


def acme_api(request: Request) -> Response:
    """Answer as the vendor's documentation says, and not as the plugin would like it."""
    if request.headers.get("Authorization") != f"Bearer {TOKEN}":
        return Response.json({"message": "unknown token"}, 401)
    if (request.method, request.target) != ("POST", "/zones/www/purge"):
        return Response.json({"message": "no such zone or operation"}, 404)
    if not 1 <= len(request.json()["urls"]) <= 30:
        return Response.json({"message": "give 1 to 30 URLs"}, 400)
    return Response.json({"id": "purge-1"})


def provider(api: RecordingVendor) -> Acme:
    return Acme(endpoint=api.endpoint, zone="www", token=Secret.literal(TOKEN))


class TestAcme(ProviderConformance):
    plugin = Acme

    @contextmanager
    def vendor(self) -> Iterator[Vendor]:
        with RecordingVendor(acme_api) as api:
            yield Vendor(provider(api), api)


def test_purges_as_the_vendor_documents() -> None:
    url = "https://www.example.com/a%20b.css"
    with RecordingVendor(acme_api) as api:
        receipt = provider(api).purge_urls([url], Call())
    [sent] = api.calls
    assert sent.json() == {"urls": [url]}
    assert receipt.id == "purge-1"


def test_is_found_by_its_name() -> None:
    assert Plugins().provider_class("acme") is Acme
'''

README = """\
# multicdn-acme

Acme for [multicdn](https://pypi.org/project/multicdn/), which tells every CDN in front of an S3 bucket what changed.

    pip install multicdn-acme

```yaml
version: 1
providers:
  acme:
    zone: www
    token: ${ssm:/multicdn/acme/token}
routes:
  - bucket: my-site
    urls: ["https://www.example.com/{key}"]
    purge: [acme]
```

`multicdn providers acme` prints all options, the limits and the permissions that the token needs.

## Working on it

    pip install -e '.[test]'
    pytest
    mypy

`src/multicdn_acme/__init__.py` is the plugin; each limit in it stands beside the vendor's page that it is from.
`tests/test_acme.py` runs it against a simulated API: there, `acme_api` plays the vendor.
"""

GITIGNORE = """\
__pycache__/
*.egg-info/
.mypy_cache/
.pytest_cache/
.venv/
build/
dist/
"""

FILES = {
    "pyproject.toml": PYPROJECT,
    "README.md": README,
    ".gitignore": GITIGNORE,
    "src/multicdn_acme/__init__.py": PLUGIN,
    "src/multicdn_acme/py.typed": "",
    "tests/test_acme.py": TESTS,
}
