"""The function as it is deployed: its state, the config in its code, and what calls it."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from multicdn.diagnosis import Finding, failed, ok, unknown, warning
from multicdn.installer.deployed import policies
from multicdn.installer.deployed.installed import ANEW, APPLY, IS_GONE, GoneError, Installed
from multicdn.installer.errors import InstallError, translated
from multicdn.installer.template.stack import CONFIG_IN_BUNDLE
from multicdn.provider import check_endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB unpacked, so packed it is less.
_LARGEST_CODE = 250 << 20
_LARGEST_CONFIG = 8 << 20
_SECONDS = 30.0


def settings(installed: Installed) -> Iterator[Finding]:
    """Whether it can run, and with the queues of the stack."""
    found = installed.function
    name = installed.outputs["FunctionName"]
    configuration = found["Configuration"]
    if found.get("Concurrency", {}).get("ReservedConcurrentExecutions") == 0:
        yield failed(
            f"{name} is throttled: its reserved concurrency is 0, so it is never called",
            installed.aws(f"lambda delete-function-concurrency --function-name {name}"),
        )
    state, update = configuration.get("State", "Active"), configuration.get("LastUpdateStatus", "Successful")
    if state not in ("Active", "Inactive") or update == "Failed":  # Inactive: it has idled, and wakes at a call
        reason = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason") or ""
        yield failed(f"{name} is {state}, its last update {update}: {reason}", f"mend that, then {APPLY}")
    else:
        yield ok(f"{name} is {state.lower()}, {configuration.get('Runtime')}, {configuration.get('MemorySize')} MB")
    yield from _environment(installed, configuration)
    yield from _limits(installed, configuration)


def _limits(installed: Installed, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    """What is run, for how long, and with how much memory."""
    wanted = installed.wanted["Resources"]["Function"]["Properties"]
    for name in ("Handler", "Runtime", "Timeout", "MemorySize"):
        found = configuration.get(name)
        if found != wanted[name]:
            less = name == "Handler" or (name != "Runtime" and (found or 0) < wanted[name])
            yield (failed if less else warning)(
                f"its {name} is {found}, and must be {wanted[name]}", installed.remedy("Function")
            )


def _environment(installed: Installed, configuration: Mapping[str, Any]) -> Iterator[Finding]:
    """Somebody may have changed its settings by hand."""
    variables = configuration.get("Environment", {}).get("Variables", {})
    if "Error" in configuration.get("Environment", {}):
        yield unknown("its environment can't be decrypted with your rights", "ask for kms:Decrypt on install.kms_key")
        return
    wanted = {"MULTICDN_CONFIG": CONFIG_IN_BUNDLE}
    if installed.queued:
        outputs = installed.outputs
        wanted |= {"MULTICDN_QUEUE_URL": outputs["QueueUrl"], "MULTICDN_DLQ_URL": outputs["DeadLetterQueueUrl"]}
    for name, value in wanted.items():
        if variables.get(name) != value:
            yield failed(
                f"its variable {name} is {variables.get(name, 'missing')}, and must be {value}",
                installed.remedy("Function"),
            )


def config(installed: Installed) -> Iterator[Finding]:
    """Whether the config in its code is the one at hand, byte by byte."""
    try:
        found = installed.function
    except GoneError:
        yield unknown(IS_GONE)
        return
    code, here = _downloaded(found), installed.file.path.read_bytes()
    digest = base64.b64encode(hashlib.sha256(code).digest()).decode()
    if digest != found["Configuration"].get("CodeSha256"):
        yield unknown("its code came otherwise than Lambda says it is", "run it again")
        return
    try:
        with zipfile.ZipFile(io.BytesIO(code)) as archive, archive.open(CONFIG_IN_BUNDLE) as member:
            there = member.read(_LARGEST_CONFIG)
    except KeyError:
        yield failed(f"there is no {CONFIG_IN_BUNDLE} in the function's code: it isn't multicdn's", _code(installed))
        return
    except (zipfile.BadZipFile, OSError) as error:
        yield failed(f"the function's code can't be read: {error}", _code(installed))
        return
    if there == here:
        yield ok(f"the function carries {installed.file.path.name} as it is here ({_short(here)})")
    else:
        yield failed(
            f"the function carries another config ({_short(there)}) than {installed.file.path.name} ({_short(here)})",
            _code(installed),
        )


def mapping(installed: Installed) -> Iterator[Finding]:
    """Whether Lambda reads the queue."""
    if not installed.queued:
        yield from policies.of_function(installed)
        return
    name, queue = installed.outputs["FunctionName"], installed.outputs["QueueArn"]
    with translated("looking at what calls the function", "lambda"):
        pages = installed.account.client("lambda").get_paginator("list_event_source_mappings")
        found = [one for page in pages.paginate(EventSourceArn=queue) for one in page["EventSourceMappings"]]
    ours = [one for one in found if name in one.get("FunctionArn", "").split(":")]
    if not ours:
        yield failed(
            f"nothing reads the queue {queue} for {name}: its event source mapping is gone",
            ANEW,
        )
    for one in ours:
        yield from _source(one, installed)
    for one in found:
        if one not in ours:
            yield failed(
                f"another function takes messages from our queue: {one.get('FunctionArn')}",
                installed.aws(f"lambda delete-event-source-mapping --uuid {one['UUID']}"),
            )


def _source(one: Mapping[str, Any], installed: Installed) -> Iterator[Finding]:
    state, result = str(one.get("State")), str(one.get("LastProcessingResult") or "")
    if state in ("Disabled", "Disabling"):
        yield failed(
            f"the event source mapping is {state.lower()}: messages wait, and nobody reads them",
            installed.aws(f"lambda update-event-source-mapping --uuid {one['UUID']} --enabled"),
        )
    elif result.startswith("PROBLEM"):
        yield failed(f"the event source mapping is {state.lower()}, and says {result}", "look at the function's role")
    else:
        yield ok(f"the event source mapping is {state.lower()}")
    if "ReportBatchItemFailures" not in one.get("FunctionResponseTypes", ()):
        yield warning(
            "it doesn't report partial batches: one bad message repeats all of its batch",
            installed.remedy("EventSourceMapping"),
        )


def _code(installed: Installed) -> str:
    """How this config gets into the function: apply looks at what it has deployed, not at what came there by hand."""
    if installed.deployed.state.config_sha256 != installed.file.sha256:
        return "multicdn install plan shows what differs; multicdn install apply deploys this one"
    place = installed.deployed.parameters
    again = installed.aws(
        f"lambda update-function-code --function-name {installed.outputs['FunctionName']} "
        f"--s3-bucket {place.get('BundleBucket')} --s3-key {place.get('BundleKey')}"
    )
    return f"somebody changed the code by hand: {again}"


def _downloaded(found: Mapping[str, Any]) -> bytes:
    """The code, from where Lambda says it is; the address is signed, and shown to nobody.

    Raises:
        InstallError: it can't be fetched.
    """
    location = str(found.get("Code", {}).get("Location", ""))
    try:
        check_endpoint(location)
    except ValueError:
        raise InstallError("Lambda names no https address of the function's code; run it again") from None
    try:
        with urlopen(location, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme was checked
            code: bytes = answer.read(_LARGEST_CODE)
    except OSError as error:
        raise InstallError(f"the function's code can't be fetched: {error}; run it again") from None
    return code


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]
