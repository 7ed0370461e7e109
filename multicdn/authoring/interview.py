"""The conversation that makes a first config: what is asked, what is taken for an answer, and what is asked again.

It knows no terminal and no AWS: both are handed in, so that a test is a text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec import Struct

from multicdn.authoring import catalog, choices, starter
from multicdn.authoring.choices import UnclearError
from multicdn.authoring.site_host import NotAHostError, host_in
from multicdn.config import bucket_names
from multicdn.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from multicdn.authoring.answers import Answers
    from multicdn.plugins.discovery import Plugins

    _Taken = TypeVar("_Taken")

_AUTO = "auto"

# Characters of an answer. Longer ones are pasted by mistake, and aren't shown again.
_LONGEST = 1000

# What ``bucket_names`` finds in what is no name, but holds one.
_MEANT = re.compile(r"write `bucket: (?P<bucket>[^`\[\]]+)`(?:, and put `(?P<prefix>[^`]*)` under `prefix`)?")


class Terminal(Protocol):
    """Where questions are asked."""

    def ask(self, question: str, default: str) -> str:
        """Ask; Enter alone gives the default, which may be empty. Raises whatever ends the conversation."""

    def say(self, line: str) -> None:
        """Show a line."""


class Bucket(Struct, frozen=True):
    """What AWS says of a bucket: where it is, or why it can't be used; nothing where AWS can't be asked."""

    region: str = ""
    problem: str = ""


class ListedDistribution(Struct, frozen=True):
    """A distribution of CloudFront, with the names that viewers use and the hosts it fetches from."""

    id: str
    names: tuple[str, ...]
    origins: tuple[str, ...] = ()

    def serves(self, bucket: str) -> bool:
        """Whether it has a bucket as its origin."""
        return any(origin.startswith((f"{bucket}.s3.", f"{bucket}.s3-")) for origin in self.origins)


class Surroundings(Protocol):
    """What there is in AWS; empty where it can't be asked."""

    def buckets(self) -> Sequence[str]:
        """The account's own."""

    def bucket(self, name: str) -> Bucket:
        """One of any account."""

    def distributions(self) -> Sequence[ListedDistribution]:
        """The account's."""

    def account(self) -> str:
        """Twelve digits."""


class Interview:
    """Fills answers in until they make a config that passes the check.

    Args:
        terminal: where to ask.
        surroundings: what there is.
        plugins: what is installed.
        answers: those given beforehand, which are checked like all others; filled in as they come, so that nothing is
            lost when the conversation ends early.
    """

    def __init__(self, terminal: Terminal, surroundings: Surroundings, plugins: Plugins, answers: Answers) -> None:
        self._terminal = terminal
        self._around = surroundings
        self._plugins = plugins
        self._answers = answers
        self._doubted = ""
        self._region = ""

    def text(self) -> str:
        """Ask for all that is open, and make the file.

        Raises:
            ConfigError: there is something wrong that no answer is to blame for.
        """
        while True:
            self._fill_in()
            try:
                return starter.written(self._answers.draft(), self._plugins)
            except ConfigError as error:
                for problem in error.problems:
                    self._terminal.say(f"  {problem}")
                if not self._answers.forget(error.problems):
                    raise

    def _fill_in(self) -> None:
        answers = self._answers
        answers.bucket = self._bucket(answers.bucket)
        answers.domain = self._domain(answers.domain)
        answers.vendors = self._vendors(answers.vendors)
        for vendor in answers.vendors:
            self._options(vendor)
        self._where()

    def _until_clear(self, question: str, take: Callable[[str], _Taken], given: str = "", default: str = "") -> _Taken:
        """Ask until an answer can be taken, each time with the reason why the last one couldn't."""
        answer = given or self._terminal.ask(question, default)
        while True:
            try:
                return take(_readable(answer))
            except UnclearError as unclear:
                self._terminal.say(f"  {unclear}")
                answer = self._terminal.ask(question, unclear.likely or default)

    # Bucket

    def _bucket(self, given: str) -> str:
        listed = () if given else tuple(self._around.buckets())
        self._list("Buckets of this account:", listed)
        return self._until_clear("Bucket", lambda text: self._taken_as_bucket(text, listed), given)

    def _taken_as_bucket(self, text: str, listed: Sequence[str]) -> str:
        name = choices.one(text, listed)
        flaw = bucket_names.flaw(name)
        if flaw and not flaw.warning:
            meant = _MEANT.search(flaw.text)
            reason = flaw.text
            if meant and meant["prefix"] and not self._answers.prefix:
                self._answers.prefix = meant["prefix"]
                reason += f". `prefix` is {meant['prefix']} now"
            raise UnclearError(reason, meant["bucket"] if meant else "")
        found = self._around.bucket(name)
        if found.problem and name != self._doubted:
            self._doubted = name
            raise UnclearError(f"{found.problem}. Answer {name} again to take it all the same")
        self._region = found.region
        return name

    # Host

    def _domain(self, given: str) -> str:
        serving = [one for one in self._around.distributions() if one.serves(self._answers.bucket)] if not given else []
        names = tuple(dict.fromkeys(name for one in serving for name in one.names))
        self._list(f"Names of the distributions that have {self._answers.bucket} as their origin:", names)
        default = names[0] if len(names) == 1 else ""
        return self._until_clear(
            "Host name that viewers use", lambda text: self._taken_as_host(text, names), given, default
        )

    def _taken_as_host(self, text: str, names: Sequence[str]) -> str:
        try:
            host = host_in(choices.one(text, names))
        except NotAHostError as error:
            raise UnclearError(str(error), error.likely) from None
        if host.left_out:
            self._terminal.say(
                f"  Taken as the host {host.name}. {host.left_out} is left out: what comes after the host is made from "
                "keys; change `urls` in the file if it differs from them"
            )
        return host.name

    # Vendors

    def _vendors(self, given: Sequence[str]) -> tuple[str, ...]:
        # What only loads has nothing to say in a first config.
        entries = [entry for entry in catalog.entries(self._plugins) if entry.fault or catalog.purges(entry)]
        names = [entry.name for entry in entries]
        if not given:
            marks = [status if (status := catalog.status(entry)) != "alive" else "" for entry in entries]
            self._terminal.say("CDNs:")
            for line in choices.numbered(names, marks, len(names)):
                self._terminal.say(line)
        chosen = self._until_clear(
            "Which purge? Numbers or names", lambda text: self._taken_as_vendors(text, names), ", ".join(given)
        )
        for entry in entries:
            if entry.name in chosen and entry.retired and entry.name not in given:
                self._terminal.say(f"  {entry.name} is retired: {entry.retired}")
        return chosen

    def _taken_as_vendors(self, text: str, names: Sequence[str]) -> tuple[str, ...]:
        chosen = choices.several(text, names)
        for name in chosen:
            try:
                self._plugins.provider_class(name)
            except PluginError as error:
                others = ", ".join(other for other in chosen if other != name)
                raise UnclearError(f"{name} can't be used: {error}", others) from None
        return chosen

    # Options of vendors

    def _options(self, vendor: str) -> None:
        found = self._answers.options.setdefault(vendor, {})
        for name in tuple(found):  # those that were given beforehand
            if reason := starter.wrong(self._plugins, vendor, found, name):
                del found[name]
                self._terminal.say(f"  --set {vendor}.{name}: {reason}")
        help_of = {option.name: option.help for option in catalog.options(self._plugins.provider_class(vendor))}
        for name, example in starter.questions(self._plugins, vendor).items():
            if name in found:
                continue
            if (vendor, name) == ("cloudfront", "distribution"):
                found[name] = self._distribution()
            else:
                hint = f", such as {example}" if example else ""
                self._terminal.say(f"{vendor}: {name}: {help_of[name]}{hint}")
                found[name] = self._option(vendor, name, ())

    def _option(self, vendor: str, name: str, listed: Sequence[str], default: str = "") -> str:
        def take(text: str) -> str:
            value = choices.one(text, listed)
            options = {**self._answers.options.get(vendor, {}), name: value}
            if reason := starter.wrong(self._plugins, vendor, options, name):
                raise UnclearError(reason)
            return value

        return self._until_clear(f"{vendor}: {name}", take, default=default)

    def _distribution(self) -> str:
        bucket, known = self._answers.bucket, self._around.distributions()
        serving = [one for one in known if one.serves(bucket)]
        ordered = [*serving, *(one for one in known if one not in serving)]
        marks = [f"all that have {bucket} as their origin: {', '.join(one.id for one in serving) or 'none now'}"]
        marks += [" ".join(one.names) for one in ordered]
        ids = (_AUTO, *(one.id for one in ordered))
        self._list("Distributions of CloudFront:", ids, marks if known else marks[:1])
        return self._option("cloudfront", "distribution", ids, _AUTO)

    # Where

    def _where(self) -> None:
        """What needn't be asked: where the bucket is, and whose the credentials are."""
        answers = self._answers
        answers.region = answers.region or self._region
        answers.account = answers.account or self._around.account()
        parts = [f"region {answers.region}" if answers.region else ""]
        parts += [f"account {answers.account}" if answers.account else ""]
        if found := ", ".join(filter(None, parts)):
            self._terminal.say(f"To be installed in {found}.")

    def _list(self, title: str, names: Sequence[str], marks: Sequence[str] = ()) -> None:
        if names:
            self._terminal.say(title)
            for line in choices.numbered(names, marks):
                self._terminal.say(line)


def _readable(answer: str) -> str:
    """What somebody can have meant to type, without blanks around it.

    Raises:
        UnclearError: it is none.
    """
    text = answer.strip().replace("\t", " ")
    if len(text) > _LONGEST:
        raise UnclearError(f"that has {len(text):,} characters: something else was pasted")
    if odd := next((sign for sign in text if not sign.isprintable()), ""):
        raise UnclearError(f"that holds {odd!r}, which no answer can have: type it anew")
    return text
