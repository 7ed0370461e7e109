"""Hook plugins: each hook used by a plugin, and each way in which one can go wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from kit.sample_plugins import SAMPLES

from multicdn import config
from multicdn.errors import ConfigError, PluginError, SecretError
from multicdn.events import envelopes
from multicdn.hooks import HOOKS, Hooks, hookimpl
from multicdn.model import Change, Report, Target, TargetKind
from multicdn.plugins.discovery import HOOK_GROUP, PROVIDER_GROUP, Plugins
from multicdn.routing.router import Router

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHANGE = Change("b", "k")


def plugin(**functions: Callable[..., Any]) -> ModuleType:
    """A module with these functions as its hook implementations."""
    return unmarked(**{name: hookimpl(function) for name, function in functions.items()})


def unmarked(**functions: Callable[..., Any]) -> ModuleType:
    module = ModuleType("plugin")
    vars(module).update(functions)
    return module


def hooks(*plugins: Any) -> Hooks:
    return Hooks({f"p{number}": one for number, one in enumerate(plugins)})


def appending(word: str) -> ModuleType:
    return plugin(multicdn_urls=lambda urls: [*urls, word])


# URLs


def test_urls_pass_through_one_plugin_after_the_other_the_last_name_first() -> None:
    assert hooks(appending("x"), appending("y")).urls(CHANGE, ["a"]) == ("a", "y", "x")


def test_the_order_is_that_of_names_in_whatever_order_they_were_found() -> None:
    for names in ("abc", "cba", "bca"):
        assert Hooks({name: appending(name) for name in names}).urls(CHANGE, []) == ("c", "b", "a")


def test_plugin_that_returns_none_leaves_the_urls() -> None:
    first, last = (plugin(multicdn_urls=lambda urls: None) for _ in range(2))
    assert hooks(first, appending("x"), last).urls(CHANGE, ["a"]) == ("a", "x")
    assert hooks(first).urls(CHANGE, ["a"]) == ["a"]


def test_plugin_may_replace_and_drop_urls_and_repeats_vanish() -> None:
    assert hooks(plugin(multicdn_urls=lambda urls: ["b", "c", "b"])).urls(CHANGE, ["a"]) == ("b", "c")
    assert hooks(plugin(multicdn_urls=lambda urls: [])).urls(CHANGE, ["a"]) == ()
    assert hooks(plugin(multicdn_urls=lambda urls: (url.upper() for url in urls))).urls(CHANGE, ["a"]) == ("A",)


def test_plugin_sees_the_change_and_can_not_change_the_urls_of_others() -> None:
    def by_key(change: Change, urls: Sequence[str]) -> list[str]:
        assert isinstance(urls, tuple)
        return [f"{change.bucket}/{change.key}"]

    assert hooks(plugin(multicdn_urls=by_key)).urls(CHANGE, ["a"]) == ("b/k",)


@pytest.mark.parametrize(
    ("answer", "shown"),
    [("https://a.example/", "'https://a.example/'"), ([1], "[1]"), ([None], "[None]"), (b"ab", "b'ab'")],
)
def test_answer_that_is_no_list_of_urls_is_refused(answer: object, shown: str) -> None:
    with pytest.raises(TypeError) as caught:
        hooks(plugin(multicdn_urls=lambda urls: answer)).urls(CHANGE, ["a"])
    assert str(caught.value) == f"multicdn_urls must return a list of texts, not {shown}"


def test_implementation_under_a_name_of_its_own_is_asked_once() -> None:
    class Renamed:
        @hookimpl(specname="multicdn_urls")
        def more(self, urls: Sequence[str]) -> list[str]:
            return [*urls, f"{len(urls)} before"]

    assert Hooks({"a": Renamed(), "b": Renamed()}).urls(CHANGE, ["a"]) == ("a", "1 before", "2 before")


def test_order_can_be_asked_for() -> None:
    first = unmarked(multicdn_urls=hookimpl(tryfirst=True)(lambda urls: [*urls, "first"]))
    last = unmarked(multicdn_urls=hookimpl(trylast=True)(lambda urls: [*urls, "last"]))
    assert Hooks({"first": first, "last": last}).urls(CHANGE, []) == ("first", "last")
    assert Hooks({"last": last, "first": first}).urls(CHANGE, []) == ("first", "last")


# Secrets


def test_first_plugin_that_knows_a_scheme_answers() -> None:
    asked: list[str] = []

    def vault(scheme: str, name: str) -> str | None:
        asked.append(scheme)
        return f"value of {name}" if scheme == "vault" else None

    def other(scheme: str) -> str | None:
        return "other" if scheme == "other" else None

    found = hooks(plugin(multicdn_resolve_secret=other), plugin(multicdn_resolve_secret=vault))
    assert found.resolve_secret("vault", "a/b") == "value of a/b"
    assert found.resolve_secret("other", "x") == "other"
    assert found.resolve_secret("nobody", "x") is None
    assert asked == ["vault", "other", "nobody"]


def test_plugin_after_the_one_that_answered_is_not_asked() -> None:
    def never(scheme: str) -> str:
        raise AssertionError(scheme)

    found = hooks(plugin(multicdn_resolve_secret=never), plugin(multicdn_resolve_secret=lambda name: name))
    assert found.resolve_secret("vault", "a") == "a"


@pytest.mark.parametrize("answer", [b"s3cr3t", bytearray(b"s3cr3t"), 7, ["s3cr3t"], "s3cr3t\ud800"], ids=repr)
def test_a_secret_that_is_no_text_is_refused_and_not_shown(answer: Any) -> None:
    """The text of bytes is b'...', which no vendor takes, and which hides nothing."""
    with pytest.raises(SecretError, match=r"\$\{vault:a\}: a plugin gave it as") as caught:
        hooks(plugin(multicdn_resolve_secret=lambda name: answer)).resolve_secret("vault", "a")
    assert "s3cr3t" not in str(caught.value)


# Events


def test_first_plugin_that_knows_a_message_reads_it() -> None:
    def reading(kind: str) -> Any:
        return plugin(multicdn_read_event=lambda message: [Change(kind, "k")] if message == kind else None)

    found = hooks(
        reading("one"), reading("two"), plugin(multicdn_read_event=lambda message: [] if message == "" else None)
    )
    assert found.read_event("one") == (Change("one", "k"),)
    assert found.read_event("two") == (Change("two", "k"),)
    assert found.read_event("") == ()
    assert found.read_event("three") is None


# Reports


def test_observer_that_fails_silences_nobody() -> None:
    seen: list[str] = []

    def failing(report: Report) -> None:
        seen.append("failing")
        raise OSError("metrics are down")

    def watching(report: Report) -> None:
        seen.append(f"{len(report.outcomes)} outcomes")

    found = hooks(plugin(multicdn_report=watching), plugin(multicdn_report=failing), plugin(multicdn_report=watching))
    problems = list(found.report(Report()))
    assert seen == ["0 outcomes", "failing", "0 outcomes"]
    assert [f"{type(problem).__name__}: {problem}" for problem in problems] == ["OSError: metrics are down"]


# What is refused when it is loaded


def refusal(*plugins: Any) -> str:
    with pytest.raises(PluginError) as caught:
        hooks(*plugins)
    return str(caught.value)


def test_misspelt_hook_is_refused_with_the_known_ones() -> None:
    text = refusal(plugin(multicdn_url=lambda urls: urls))
    assert text.startswith("hook plugin 'p0': unknown hook 'multicdn_url'")
    assert text.endswith("known hooks: multicdn_urls, multicdn_resolve_secret, multicdn_read_event, multicdn_report")


def test_unknown_argument_is_refused() -> None:
    text = refusal(plugin(multicdn_urls=lambda urls, key: urls))
    assert text.startswith("hook plugin 'p0': ")
    assert "key" in text
    assert text.endswith(f"known hooks: {', '.join(HOOKS)}")


@pytest.mark.parametrize("functions", [{}, {"multicdn_urls": lambda urls: urls}])
def test_plugin_whose_functions_are_not_marked_is_refused(functions: dict[str, Any]) -> None:
    with pytest.raises(PluginError) as caught:
        Hooks({"audit": unmarked(**functions)})
    assert str(caught.value) == "hook plugin 'audit' implements no hook; mark its functions with @hookimpl"


def test_class_is_refused_where_an_instance_is_meant() -> None:
    class Audit:
        @hookimpl
        def multicdn_report(self, report: Report) -> None:
            raise AssertionError(report)

    with pytest.raises(PluginError) as caught:
        Hooks({"audit": Audit})
    assert str(caught.value) == ("hook plugin 'audit' is a class; announce a module, or an instance of the class")
    assert len(list(Hooks({"audit": Audit()}).report(Report()))) == 1


def test_plugin_that_is_announced_twice_is_refused() -> None:
    one = appending("x")
    assert refusal(one, one) == "hook plugins 'p0' and 'p1' are the same; announce it once"


@pytest.mark.parametrize("old", [True, False])
def test_wrapper_is_refused_since_there_is_nothing_to_wrap(old: bool) -> None:
    def wrapping(urls: Sequence[str]) -> Any:
        yield

    mark = hookimpl(hookwrapper=True) if old else hookimpl(wrapper=True)
    with pytest.raises(PluginError) as caught:
        Hooks({"audit": unmarked(multicdn_urls=mark(wrapping))})
    assert str(caught.value) == ("hook plugin 'audit' has a wrapper, and hooks are called one by one: nothing to wrap")


def test_every_hook_of_the_contract_can_be_implemented() -> None:
    everything = {name: (lambda: None) for name in HOOKS}
    found = hooks(plugin(**everything))
    assert found.urls(CHANGE, ["a"]) == ["a"]
    assert found.resolve_secret("s", "n") is None
    assert found.read_event({}) is None
    assert list(found.report(Report())) == []


# A plugin in its place: found by entry point, used by config, events and routing


@hookimpl
def multicdn_urls(change: Change, urls: Sequence[str]) -> list[str]:
    if change.key == "bad":
        raise LookupError("no such page")
    return [*urls, f"https://www.acme.com/amp/{change.key}"]


@hookimpl
def multicdn_resolve_secret(scheme: str, name: str) -> str | None:
    if scheme == "vault" and name == "missing":
        raise SecretError("${vault:missing}: the vault has no such secret")
    return {"vault": f"value-of-{name}", "empty": ""}.get(scheme)


@hookimpl
def multicdn_read_event(message: object) -> list[Change] | None:
    return [Change("b", message["page"])] if isinstance(message, dict) and "page" in message else None


SEEN: list[Report] = []


@hookimpl
def multicdn_report(report: Report) -> None:
    SEEN.append(report)


@pytest.fixture
def plugins() -> Plugins:
    return installed_with(f"{__name__}")


def installed_with(module: str) -> Plugins:
    providers = [EntryPoint(name, f"kit.sample_plugins:{cls}", PROVIDER_GROUP) for name, cls in SAMPLES.items()]
    return Plugins([*providers, EntryPoint("acme", module, HOOK_GROUP)], disabled=())


CONFIG = """\
version: 1
providers:
  full: {token: "${vault:token}", service: s}
routes:
  - {bucket: b, urls: ["https://www.acme.com/{key}"], purge: [full]}
"""


def loaded(plugins: Plugins, reference: str = "${vault:token}") -> config.Config:
    return config.parse(CONFIG.replace("${vault:token}", reference), "c.yml", plugins)


def test_secret_of_a_foreign_scheme_is_resolved_by_its_plugin(plugins: Plugins) -> None:
    [secret] = loaded(plugins).providers["full"].secrets()
    assert str(secret) == "<secret ${vault:token}>"
    assert secret.reveal() == "value-of-token"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("${vault:missing}", "${vault:missing}: the vault has no such secret"),
        ("${empty:x}", "${empty:x} is empty"),
        ("${nobody:x}", "${nobody:x}: unknown scheme 'nobody'; known: env, file, secretsmanager, ssm"),
    ],
)
def test_foreign_secret_that_can_not_be_resolved(plugins: Plugins, reference: str, message: str) -> None:
    [secret] = loaded(plugins, reference).providers["full"].secrets()
    with pytest.raises(SecretError) as caught:
        secret.reveal()
    assert str(caught.value) == message


def test_foreign_scheme_without_hook_plugins_is_refused_when_the_config_is_loaded() -> None:
    providers = [EntryPoint(name, f"kit.sample_plugins:{cls}", PROVIDER_GROUP) for name, cls in SAMPLES.items()]
    with pytest.raises(ConfigError, match="unknown secret scheme 'vault'"):
        loaded(Plugins(providers, disabled=()))


def test_foreign_event_becomes_purges_of_the_urls_that_a_plugin_adds(plugins: Plugins) -> None:
    hooks = plugins.hooks
    event = {"Records": [{"eventSource": "aws:sqs", "messageId": "m1", "body": '{"page": "news"}'}]}
    intake = envelopes.decode(event, hooks.read_event)
    config = loaded(plugins)
    [demand], failures = Router(config.routes, config.providers, hooks.urls).demands(
        [*intake.changes, Change("b", "bad", cause="m2")]
    )
    assert set(demand.wants) == {
        Target(TargetKind.URL, "https://www.acme.com/news"),
        Target(TargetKind.URL, "https://www.acme.com/amp/news"),
    }
    assert all(want.causes == {"m1"} for want in demand.wants.values())
    assert [(failure.change.cause, failure.reason) for failure in failures] == [
        ("m2", "a plugin failed on its URLs: LookupError: no such page")
    ]


def test_report_reaches_the_plugin(plugins: Plugins) -> None:
    hooks = plugins.hooks
    SEEN.clear()
    assert list(hooks.report(Report())) == []
    assert [Report()] == SEEN


def test_hooks_are_loaded_once(plugins: Plugins) -> None:
    assert plugins.hooks is plugins.hooks


class Panic(BaseException):
    """As pyo3's PanicException, which is no Exception."""


@pytest.mark.parametrize("fault", [SystemExit(2), Panic("index out of bounds"), GeneratorExit()], ids=repr)
def test_nothing_that_a_hook_raises_ends_the_process(fault: BaseException) -> None:
    def broken(*_: object, **__: object) -> Any:
        raise fault

    found = hooks(plugin(multicdn_urls=lambda change: broken(), multicdn_report=lambda report: broken()))
    with pytest.raises(PluginError, match=f"'p0' raised {type(fault).__name__}"):
        found.urls(CHANGE, ["a"])
    [error] = found.report(Report())
    assert type(fault).__name__ in str(error)
    reading = hooks(plugin(multicdn_read_event=lambda message: broken()))
    [unreadable] = envelopes.decode({"odd": 1}, reading.read_event).unreadable
    assert type(fault).__name__ in unreadable.reason


@pytest.mark.parametrize("fault", [SystemExit(2), Panic("index out of bounds"), GeneratorExit()], ids=repr)
def test_nothing_that_a_generator_of_a_hook_raises_ends_the_process(fault: BaseException) -> None:
    def broken(*_: object, **__: object) -> Any:
        yield "https://www.acme.com/a"
        raise fault

    found = hooks(plugin(multicdn_urls=lambda change: broken(), multicdn_read_event=lambda message: broken()))
    with pytest.raises(PluginError, match=f"'p0' raised {type(fault).__name__}"):
        found.urls(CHANGE, ["a"])
    [unreadable] = envelopes.decode({"odd": 1}, found.read_event).unreadable
    assert type(fault).__name__ in unreadable.reason


@pytest.mark.parametrize("answer", [[None], [b"x"], ["\ud800"], [7], "text", 7], ids=repr)
def test_urls_that_are_no_texts_cost_their_change_alone(answer: Any) -> None:
    with pytest.raises(TypeError):
        hooks(plugin(multicdn_urls=lambda urls: answer)).urls(CHANGE, ["a"])


def test_it_is_known_whether_any_plugin_may_rewrite_urls() -> None:
    assert hooks(appending("x")).rewrites_urls
    assert not hooks(plugin(multicdn_report=lambda report: None)).rewrites_urls
