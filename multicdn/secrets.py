"""Secrets are references in the config, resolved on first use, and never shown.

    ${env:NAME}  ${file:/path}  ${ssm:/parameter/name}  ${secretsmanager:name#json-key}

Other schemes come from plugins (hook ``multicdn_resolve_secret``).
"""

from __future__ import annotations

import json
import logging
import math
import os
import random
import threading
import time
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from multicdn import aws_clients, redaction, region
from multicdn.errors import SecretError, told
from multicdn.patterns import lazy_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

# What is asked of AWS, by service and its own names.
OPERATIONS = {"ssm": ("GetParameter",), "secretsmanager": ("GetSecretValue",)}

REFERENCE = lazy_pattern(r"\$\{(?P<scheme>[a-z][a-z0-9]*):(?P<name>[^{}]+)\}")

# A rotated secret is seen after this many seconds at the latest, and not by all processes at once; a refused credential
# is asked for anew at once.
LIFETIME = 900.0
_SHORTEST_LIFETIME = 0.75 * LIFETIME

# While a source is out, it is asked this often, and what it said before is used.
_RETRY_SOURCE = 60.0

# Seconds for all that it takes to ask AWS for a secret, a second try included.
_LONGEST_ANSWER_OF_AWS = 10.0

# Seconds for which a thread waits for another one that asks, whatever it is that answers.
_LONGEST_ASKING = 10.0

# Whoever has a secret of fewer characters has none, and logs would lose their letters.
_SHORTEST_REDACTED = 3

# Values that are blacked out. More than these many come of tokens that are got anew each hour; then the oldest go.
_MOST_REVEALED = 256

# docs.aws.amazon.com/systems-manager/latest/APIReference and secretsmanager/latest/apireference: CommonErrors
_THROTTLED = ("ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException")

_LONGEST_QUOTE = 300  # characters
_NOT_AWS = "no value in the answer: something between us and AWS may have answered"
_DENIED = ("AccessDeniedException", "AccessDenied")
_MISSING = ("ParameterNotFound", "ParameterVersionNotFound", "ResourceNotFoundException")
# GetParameter's InvalidKeyId, GetSecretValue's DecryptionFailure: the key may not be used, is disabled, or is gone.
_KEYS = ("InvalidKeyId", "DecryptionFailure", "KMSAccessDeniedException")

# The last one lets a function with SnapStart ask for the others.
_CREDENTIALS_OF_AWS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN")

_revealed: dict[str, None] = {}
_revealing = threading.Lock()


def _nowhere(event: str, **fields: object) -> None:
    """Write a warning where there is no log."""


#: Writes a warning. The log puts itself here: it imports this module, to black out what it writes.
warn: Callable[..., None] = _nowhere


class Resolver(Protocol):
    """Knows schemes that aren't built in."""

    def resolve_secret(self, scheme: str, name: str) -> str | None:
        """The value of a reference; None where it is unknown."""


class Secret:
    """A secret by reference. ``reveal()`` is the only way to its value; ``repr``, ``str`` and pickle never show it."""

    __slots__ = ("_good_until", "_lock", "_resolve", "_stale", "_value", "reference")

    def __init__(self, reference: str, resolve: Callable[[], str]) -> None:
        self.reference = reference
        self._resolve = resolve
        self._value: str | None = None
        self._good_until = 0.0
        self._stale = False
        self._lock = threading.Lock()

    @classmethod
    def literal(cls, value: str) -> Secret:
        """A secret that is already known, for tests and for programs that embed multicdn."""
        return cls("literal", lambda: value)

    def reveal(self) -> str:
        """Return the value, resolving it on first use and again when its time is over.

        A value that was read before is used on while its source is out: the log says so once.

        Raises:
            SecretError: the reference can't be resolved, and never could.
        """
        lock, known = self._lock, self._value
        wanted = known is None or self._good_until == -math.inf
        if not lock.acquire(timeout=_LONGEST_ASKING if wanted else 0.0):
            return self._known_while_another_asks(lock, known, hangs=wanted)
        try:
            if self._value is None or time.monotonic() > self._good_until:
                self._value = self._renewed(self._value)
            return self._value
        finally:
            lock.release()

    def _known_while_another_asks(self, lock: threading.Lock, known: str | None, *, hangs: bool) -> str:
        """What was read before. A source that hangs is left behind with the thread that asks it, and asked anew."""
        reason = f"{self.reference}: its source has not answered for {_LONGEST_ASKING:.0f} s"
        if hangs and self._lock is lock:
            self._lock = threading.Lock()
        if known is None:
            raise SecretError(reason, passing=True)
        if hangs:
            self._good_until = time.monotonic() + _RETRY_SOURCE
            self._tell_stale(SecretError(reason))
        return known

    def forget(self) -> None:
        """Resolve anew at the next ``reveal``: the vendor refused the value, it may have been rotated."""
        # Not under the lock: a thread that asks a source which hangs may have it.
        self._good_until = -math.inf

    def _renewed(self, known: str | None) -> str:
        try:
            value = self._resolve()
        except Exception as error:
            if known is None:
                raise
            self._good_until = time.monotonic() + _RETRY_SOURCE
            self._tell_stale(error)
            return known
        self._good_until = time.monotonic() + random.uniform(_SHORTEST_LIFETIME, LIFETIME)  # noqa: S311 - spreads load
        self._stale = False
        if len(value) >= _SHORTEST_REDACTED:
            _remember(value)
        return value

    def _tell_stale(self, error: Exception) -> None:
        if not self._stale:
            self._stale = True
            warn("secret-stale", secret=self.reference, reason=told(error))

    def __repr__(self) -> str:
        return f"<secret {self.reference}>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self is other or (self.reference == other.reference != "literal")

    def __hash__(self) -> int:
        return hash(self.reference)

    def __reduce__(self) -> NoReturn:
        message = "a secret is never pickled or copied out of its process"
        raise TypeError(message)


def _remember(value: str) -> None:
    with _revealing:
        _revealed.pop(value, None)  # what is read again is as good as new: the oldest goes first
        _revealed[value] = None
        if len(_revealed) > _MOST_REVEALED:
            del _revealed[next(iter(_revealed))]


def redact(text: str) -> str:
    """Return the text with every secret that this process has revealed blacked out, however it is encoded.

    The credentials that AWS gives a function are among them.
    """
    return redactor()(text)


def redactor() -> Callable[[str], str]:
    """What blacks out, as ``redact`` does, all that is known now: for many texts at once."""
    # A copy, since other threads reveal secrets meanwhile.
    named = filter(None, map(os.environ.get, _CREDENTIALS_OF_AWS))
    values = {*tuple(_revealed), *named, *aws_clients.given_credentials()}
    return redaction.redactor(values) if values else str


def quiet(*libraries: str) -> None:
    """Let libraries write nothing below INFO, whatever the level of the root logger is.

    At DEBUG they show signing keys, headers and bodies. Call it where your SDK is imported.

    Args:
        libraries: names of their loggers.
    """
    for library in libraries:
        logger = logging.getLogger(library)
        # To set a level empties what all loggers remember, and a plugin may say so in each call.
        if logger.level < logging.INFO:
            logger.setLevel(logging.INFO)


def parse_reference(text: str) -> tuple[str, str] | None:
    """Split ``${scheme:name}`` into scheme and name; None for any other text."""
    match = REFERENCE.fullmatch(text.strip())
    return (match["scheme"], match["name"]) if match else None


def secret_of(scheme: str, name: str, hooks: Callable[[], Resolver]) -> Secret:
    """A secret by its reference.

    Args:
        scheme: as in ``${scheme:name}``.
        name: likewise.
        hooks: loads those that are asked for schemes that aren't built in; what gives None is unknown to them.
    """
    if scheme in BUILT_IN:
        return Secret(f"${{{scheme}:{name}}}", partial(resolve, scheme, name))

    def foreign() -> str:
        value = hooks().resolve_secret(scheme, name)
        return resolve(scheme, name) if value is None else checked(value, scheme, name)

    return Secret(f"${{{scheme}:{name}}}", foreign)


def resolve(scheme: str, name: str) -> str:
    """Resolve a reference of a built-in scheme.

    Raises:
        SecretError: unknown scheme, missing secret, or no permission to read it.
    """
    resolver = BUILT_IN.get(scheme)
    if resolver is None:
        message = f"${{{scheme}:{name}}}: unknown scheme {scheme!r}; known: {', '.join(sorted(BUILT_IN))}"
        raise SecretError(message)
    return checked(resolver(name), scheme, name)


def checked(value: str, scheme: str, name: str) -> str:
    """Return the value of a reference unless it is empty.

    Raises:
        SecretError: it is.
    """
    if not value:
        message = f"${{{scheme}:{name}}} is empty"
        raise SecretError(message)
    return value


def _from_env(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        message = f"${{env:{name}}}: the environment has no variable {name}"
        raise SecretError(message) from None


def _from_file(name: str) -> str:
    try:
        return Path(name).expanduser().read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        message = f"${{file:{name}}}: {error.strerror}"
        raise SecretError(message) from None
    except ValueError:  # its text would show some of the file
        message = f"${{file:{name}}} isn't text in UTF-8"
        raise SecretError(message) from None


def _from_ssm(name: str) -> str:
    answer = _ask_aws("ssm", f"${{ssm:{name}}}", lambda ssm: ssm.get_parameter(Name=name, WithDecryption=True))
    value = answer.get("Parameter", {}).get("Value")
    if value is None:
        raise SecretError(f"${{ssm:{name}}}: {_NOT_AWS}", passing=True)
    return str(value)


def _from_secretsmanager(name: str) -> str:
    """``name`` is the secret's name or ARN, with ``#key`` to take one member of a JSON secret."""
    secret_id, _, key = name.partition("#")
    reference = f"${{secretsmanager:{name}}}"
    answer = _ask_aws("secretsmanager", reference, lambda aws: aws.get_secret_value(SecretId=secret_id))
    text = answer.get("SecretString")
    if text is None and "SecretBinary" not in answer:
        raise SecretError(f"{reference}: {_NOT_AWS}", passing=True)
    if text is None:
        message = f"{reference} is binary; store it as text"
        raise SecretError(message)
    return _member(str(text), key, reference) if key else str(text)


def _member(text: str, key: str, reference: str) -> str:
    try:
        members = json.loads(text)
    except ValueError:
        members = None
    if not isinstance(members, dict):
        message = f"{reference}: the secret isn't a JSON object; leave out #{key} to use it whole"
        raise SecretError(message)
    if key not in members:
        message = f"{reference}: the secret has no member {key!r}, only {', '.join(sorted(members)) or 'none'}"
        raise SecretError(message)
    value = members[key]
    if isinstance(value, bool) or not isinstance(value, str | int):
        message = f"{reference}: the member {key!r} isn't a text"
        raise SecretError(message)
    return str(value)


def _ask_aws(service: str, reference: str, ask: Callable[[Any], Any]) -> Any:
    """Make one read call, importing botocore only now: most configurations read few secrets, or none from AWS."""
    try:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError, CredentialRetrievalError, HTTPClientError
        from botocore.exceptions import ConnectionError as NoConnectionError

        from multicdn.bounds import bounded
    except ImportError:
        message = f"{reference} needs botocore; pip install 'multicdn[aws]'"
        raise SecretError(message) from None
    passing = HTTPClientError | NoConnectionError | CredentialRetrievalError
    limits = Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})
    try:
        with bounded(_LONGEST_ANSWER_OF_AWS):
            client = aws_clients.client(service, region=region.of_environment(), config=limits)
            return ask(client)
    except ClientError as error:
        code, answer = str(error.response["Error"].get("Code")), error.response.get("ResponseMetadata", {})
        said = _first_words(error.response["Error"].get("Message"))
        message = ": ".join(filter(None, (reference, code, said))) + _remedy(code, said, client)
        is_out = answer.get("HTTPStatusCode", 0) >= HTTPStatus.INTERNAL_SERVER_ERROR or code in _THROTTLED
        raise SecretError(message, passing=is_out, denied=code in _DENIED) from None
    except BotoCoreError as error:
        message = f"{reference}: {error}{_REMEDIES.get(type(error).__name__, '')}"
        raise SecretError(message, passing=isinstance(error, passing)) from None


# Of errors of botocore, by their names: what to do about each.
_REMEDIES = {
    "NoRegionError": "; set AWS_REGION, or `region` under `install` in the config",
    "NoCredentialsError": "; sign in (`aws sso login`, AWS_PROFILE)",
    "ProfileNotFound": "; AWS_PROFILE names it, and `aws configure list-profiles` those that there are",
}


def _first_words(message: object) -> str:
    """What AWS says, on one line: where something else answers in its place, that may be of any length."""
    line = str(message or "").strip().partition("\n")[0][:_LONGEST_QUOTE]
    return line.replace("; ", ", ")  # what to do stands behind the only one of a sentence


def _remedy(code: str, said: str, client: Any) -> str:
    """What to do about an answer of AWS, to end its sentence with."""
    if code in _MISSING:
        return f"; there is none in {client.meta.region_name}: `multicdn secret put` stores it"
    if code in _KEYS or (code == "AccessDeniedException" and "KMS" in said):
        return "; whoever reads it needs kms:Decrypt on its key: name that key as install.kms_key, and install again"
    return ""


BUILT_IN: dict[str, Callable[[str], str]] = {
    "env": _from_env,
    "file": _from_file,
    "ssm": _from_ssm,
    "secretsmanager": _from_secretsmanager,
}

# Whoever makes the client: botocore shows what a store of secrets answers, and the session token of the function.
quiet("boto3", "botocore")
