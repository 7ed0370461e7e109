"""Conformance of what a plugin declares: no calls are made."""

from __future__ import annotations

import dataclasses
import re
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest

from multicdn import config
from multicdn.authoring import catalog
from multicdn.errors import ConfigError, TargetsRefused
from multicdn.model import Target, TargetKind, is_text
from multicdn.plugins.discovery import PROVIDER_GROUP, Plugins
from multicdn.provider import Call, Limits
from multicdn.testing._conformance.base import Promises, Vendor
from multicdn.testing._conformance.failure_cases import NAMES, ODD_PATHS
from multicdn.testing._conformance.side_effects import outside_work

if TYPE_CHECKING:
    from multicdn.provider import Capability

_SOUNDS_SECRET = re.compile(
    r"(.*_)?(token|secret|password|passwd|passphrase|credentials?|api_?key|private_key)", re.IGNORECASE
)

# Shorter ones could stand in a text by chance.
_SHORTEST_SECRET = 12


class Declarations(Promises):
    """A plugin is what it says, and says what users need to know."""

    def _plugins(self) -> Plugins:
        """The plugin alone, found as if it were installed."""
        value = f"{self.plugin.__module__}:{self.plugin.__qualname__}"
        return Plugins([EntryPoint(self._name, value, PROVIDER_GROUP)], disabled=())

    @property
    def _name(self) -> str:
        return self.plugin.__name__.lower()

    def test_it_is_a_plugin(self) -> None:
        """The core takes the class: frozen, complete, of this version of the contract."""
        assert self._plugins().provider_class(self._name) is self.plugin, "two classes: is its file imported twice?"

    def test_its_options_are_frozen(self, running: Vendor) -> None:
        """Nothing changes an instance, which several threads use."""
        with pytest.raises(dataclasses.FrozenInstanceError):
            running.provider.endpoint = "https://elsewhere.example"  # type: ignore[misc]

    def test_it_is_documented(self) -> None:
        """``multicdn providers NAME`` has something to say."""
        entry = catalog.entry(self._plugins(), self._name)
        assert entry.summary, "give the class a docstring; its first line is the summary"
        assert entry.docs.startswith("https://"), "set `docs` to the vendor's page about purging"
        assert entry.permissions, "set `permissions`: what the credentials must be allowed to do"
        unexplained = [option.name for option in entry.options if not option.help]
        assert not unexplained, f"declare {', '.join(unexplained)} with option(help=...)"

    def test_its_example_passes_the_config_check(self) -> None:
        """What ``multicdn providers NAME`` shows can be copied."""
        assert self.plugin.example, "set `example`: options as they would stand in a config file"
        try:
            config.parse(catalog.example_config(self.plugin, self._name), "example", self._plugins())
        except ConfigError as error:
            pytest.fail(f"`example` isn't accepted:\n{error}", pytrace=False)

    def test_options_that_hold_secrets_are_secrets(self, running: Vendor) -> None:
        """A secret in an ordinary option would be written into config files and shown in logs."""
        for option in catalog.options(self.plugin):
            sounds = _SOUNDS_SECRET.fullmatch(option.name) and option.name not in self.plain_options
            assert option.secret or not sounds, (
                f"option {option.name!r} sounds like a secret and isn't one: annotate it with Secret, "
                f"or explain it in `plain_options`"
            )
        for secret in running.provider.secrets():
            assert len(secret.reveal()) >= _SHORTEST_SECRET, (
                f"the test's own secrets need {_SHORTEST_SECRET} characters or more, to be recognised in a text"
            )

    def test_an_endpoint_in_clear_is_refused(self, running: Vendor) -> None:
        """Credentials never travel over plain HTTP, but on this machine."""
        with pytest.raises(ValueError, match="endpoint"):
            dataclasses.replace(running.provider, endpoint="http://api.example.com")

    def test_its_limits_make_sense(self, running: Vendor, what: Capability) -> None:
        """They are Limits, which refuse by themselves numbers that can be none."""
        limits = getattr(running.provider, what.limits)
        assert isinstance(limits, Limits), f"{what.limits} is {limits!r}, and no Limits"
        assert limits.targets == 1 or what.kind is not TargetKind.EVERYTHING, "there is but one everything"

    def test_locate_is_pure(self, running: Vendor, what: Capability) -> None:
        """It runs for every object, on the way from the event to the plan: no network, no files, no memory."""
        target = Target(what.kind, self.sample(what, 0))
        first = running.provider.locate(target, what.action)
        with outside_work() as seen:
            again = running.provider.locate(target, what.action)
        assert again == first, f"`locate` gives {first} and then {again} for the same target"
        assert not seen, f"`locate` must be pure, and does {', '.join(seen)}"

    def test_locate_keeps_urls_apart(self, running: Vendor, by_url: Capability) -> None:
        """Cache keys are byte-exact, so no two URLs may become one that stands for neither."""
        path_of: dict[object, str] = {}
        for path in (*ODD_PATHS.values(), "/a"):
            try:
                located = running.provider.locate(Target(TargetKind.URL, self.site + path), by_url.action)
            except TargetsRefused:
                continue
            assert located not in path_of, f"`locate` makes the same of {path} and {path_of.get(located)}: {located}"
            path_of[located] = path

    def test_nothing_but_everything_becomes_everything(self, running: Vendor, batched: Capability) -> None:
        """A cache is only emptied on an explicit order, never by an empty value."""
        for value in ("", self.sample(batched, 0)):
            try:
                located = running.provider.locate(Target(batched.kind, value), batched.action)
            except TargetsRefused:
                continue
            kinds = {target.kind for target in located}
            assert TargetKind.EVERYTHING not in kinds, f"`locate` turns the {batched.kind} {value!r} into everything"
            assert not value or all(target.value for target in located), f"`locate` makes an empty target of {value!r}"

    def test_an_empty_target_is_refused(self, running: Vendor, batched: Capability) -> None:
        """At some vendors it means everything. The core sends none; a script that calls the plugin might."""
        for value in ("", " "):
            try:
                located = running.provider.locate(Target(batched.kind, value), batched.action)
                getattr(running.provider, batched.method)([target.value for target in located], Call())
            except TargetsRefused:
                continue
            message = f"the {batched.kind} {value!r} was accepted: raise TargetsRefused, as Provider.locate does"
            pytest.fail(message, pytrace=False)

    def test_locate_makes_targets(self, running: Vendor, what: Capability) -> None:
        """Nothing that isn't a target of text can be sent, and none at all would leave an object stale in silence."""
        located = running.provider.locate(Target(what.kind, self.sample(what, 0)), what.action)
        assert located, "`locate` makes nothing of a target; to refuse one, raise TargetsRefused"
        odd = [each for each in located if not is_text(getattr(each, "value", None))]
        assert not odd, f"`locate` makes {odd[0]!r}, which is no Target of text"
        weight = running.provider.weigh(located[0].value)
        assert isinstance(weight, int), f"`weigh` gives {weight!r}, which is no number of bytes"

    def test_what_differs_is_explained(self) -> None:
        """An exception from the rules names a rule that exists, and a reason."""
        named = {*self.expected, *self.right_answers}
        unknown = [*(named - NAMES), *(self.refused_urls.keys() - ODD_PATHS.keys())]
        assert not unknown, f"nothing is called {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}"
        explained = (
            self.right_answers,
            self.refused_urls,
            self.further_calls,
            self.imports_at_start,
            self.imports_at_first_call,
            self.plain_options,
        )
        reasons = [
            *(one.reason for one in self.expected.values()),
            *(why for each in explained for why in each.values()),
        ]
        assert all(reason.strip() for reason in reasons), "give each exception its reason"
