"""The tests that every provider has to pass, for plugin authors to inherit.

    class TestAcme(ProviderConformance):
        plugin = Acme

        @contextmanager
        def vendor(self) -> Iterator[Vendor]:
            with RecordingVendor(Response.json({"id": "1"})) as api:
                yield Vendor(Acme(endpoint=api.endpoint, token=Secret.literal("only-for-tests")), api)

They need pytest, and nothing but this machine. All that a plugin's tests need beside ``multicdn.provider`` is here.
Any class of ``multicdn.simulators`` will do in place of a ``RecordingVendor``; ``Plugins`` finds what is installed.
"""

from __future__ import annotations

from multicdn.plugins.discovery import Plugins
from multicdn.testing._conformance.base import Api, Vendor
from multicdn.testing._conformance.calls import Calls
from multicdn.testing._conformance.declared import Declarations
from multicdn.testing._conformance.diagnosing import Diagnoses
from multicdn.testing._conformance.failure_cases import Expected
from multicdn.testing._conformance.failures import Failures
from multicdn.testing._conformance.questions import Questions
from multicdn.testing._conformance.starting import Starts
from multicdn.testing.recording import RecordingVendor, Request, Response, faults

__all__ = [
    "Api",
    "Expected",
    "Plugins",
    "ProviderConformance",
    "ProviderConformanceV1",
    "RecordingVendor",
    "Request",
    "Response",
    "Vendor",
    "faults",
]


class ProviderConformanceV1(Declarations, Starts, Calls, Failures, Questions, Diagnoses):
    """The tests for version 1 of the provider contract. Set ``plugin``, and give ``vendor``.

    Further class attributes, for what is different about a vendor. Each holds reasons, and none should be needed
    for a plain HTTP API:

    Attributes:
        plugin: the provider class.
        site: scheme and host of the URLs that the tests purge; a vendor may know only its own.
        expected: by the name of a trouble, the error that this vendor's provider makes of it instead.
        right_answers: by the name of a trouble, why it is none to this provider, which accepts it.
        refused_urls: by the name of an odd URL, why the vendor can't purge it.
        further_calls: by the name of a method, why it makes more than one request; under ``diagnose``, why what that
            sends looks like a purge.
        imports_at_start: by name, packages that importing the plugin imports, and why.
        imports_at_first_call: by name, packages that a call imports although the plugin has prepared, and why.
        plain_options: by name, why an option isn't secret although it sounds so.
        other_secrets: what must not be shown either: credentials that come from the environment.

    ``refusal(status)`` words an error as the vendor does, and ``sample(what, number)`` names targets; override them
    where the defaults don't suit the vendor. If a plugin inherits ``Confirm`` or ``Prove``, the API under test answers
    these questions, too.
    """


# The newest version. A plugin that doesn't pass a later one yet may go on to inherit the older by its name.
ProviderConformance = ProviderConformanceV1
