"""Reference tables, written from the code that they are about: the config's members, and a page for each vendor."""

from __future__ import annotations

import enum
import inspect
import json
import re
import types
import typing
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import msgspec

from multicdn.authoring import catalog
from multicdn.provider import Provider, SoftPurge, capabilities

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from multicdn.plugins.discovery import Plugins
    from multicdn.provider import Limits, Speed

# Where the page on the config says more about a member.
_MORE = {
    "match": "parts-of-keys",
    "allowed_hosts": "parts-of-keys",
    "spellings": "spellings",
    "tags_from": "tags-from-metadata",
    "collapse": "fewer-targets",
    "also": "other-urls-of-an-object",
    "verify": "looking-whether-it-is-fresh",
    "settle": "whole-deploys",
    "after": "whole-deploys",
}
_KEPT_OUT = "${AWS::AccountId}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; what stands in its cells may have pipes."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def members(struct: type[msgspec.Struct], hints: Mapping[str, Any] | None = None, *, more: bool = False) -> str:
    """The members of a section of the config: what they take, what they mean, what they are without.

    Args:
        struct: that the section is decoded to, whose members have descriptions.
        hints: their types as they are written, where those differ from the decoded ones.
        more: whether to lead to the chapter that says more.
    """
    return table(["member", "takes", "meaning", "default"], _members(struct, hints, "", more=more))


def _members(
    struct: type[msgspec.Struct], hints: Mapping[str, Any] | None, above: str, *, more: bool = False
) -> Iterator[list[str]]:
    written = hints or typing.get_type_hints(struct, include_extras=True)
    fields = {field.name: field for field in msgspec.structs.fields(struct)}
    for name, hint in written.items():
        field = fields[name]
        link = f" ([more](#{_MORE[name]}))" if more and name in _MORE else ""
        default = "required" if field.required else _default(field.default)
        yield [f"`{above}{field.encode_name}`", _takes(hint), _described(hint) + link, default]
        for nested, many in _structs(hint):
            yield from _members(nested, None, f"{above}{field.encode_name}{'[]' if many else ''}.")


def _described(hint: Any) -> str:
    """What the schema says of a member. The page has a chapter on placeholders, so that they need no list here."""
    metas = [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    text, listed, _ = next(meta.description for meta in metas if meta.description).partition("; placeholders: ")
    return f"{text} ([placeholders](#placeholders))" if listed else text


def plain(text: str) -> str:
    """Text in which nothing but what stands between backticks is Markdown."""
    parts = text.split("`")
    return "`".join(part if place % 2 else re.sub(r"([*<])", r"\\\1", part) for place, part in enumerate(parts))


def _default(value: object) -> str:
    if value in ("", (), None, msgspec.NODEFAULT):
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _structs(hint: Any, *, many: bool = False) -> Iterator[tuple[type[msgspec.Struct], bool]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint, many
    for argument in typing.get_args(hint):
        yield from _structs(argument, many=many or typing.get_origin(hint) is tuple)


def _takes(hint: Any) -> str:
    """What may be written for a type, in words."""
    metas = tuple(meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, msgspec.Meta))
    bare = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    kind, arguments = typing.get_origin(bare), typing.get_args(bare)
    if bare is bool:
        return "`true`, `false`"
    if bare in (int, float):
        return _number(metas)
    if kind is Literal:
        return ", ".join(f"`{value}`" if isinstance(value, str) else str(value) for value in arguments)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return ", ".join(f"`{member.value}`" for member in bare)
    if kind is tuple:
        return f"list of {_plural(_takes(arguments[0]))}"
    if kind in (typing.Union, types.UnionType):
        return ", or ".join(dict.fromkeys(_takes(each) for each in arguments if each is not type(None)))
    return "text" if bare is str else "mapping"


def _number(metas: Sequence[msgspec.Meta]) -> str:
    least = next((meta.ge for meta in metas if meta.ge is not None), None)
    most = next((meta.le for meta in metas if meta.le is not None), None)
    if most is not None:
        return f"{least} to {most}"
    return "number" if least is None else f"number, {least} or more"


def _plural(words: str) -> str:
    return words if words.startswith("`") else f"{words}s"


def vendor_list(plugins: Plugins) -> str:
    """The vendors, with their pages."""
    rows = (
        [
            f"[{plugins.provider_class(entry.name).__name__}](vendors/{entry.name}.md)",
            f"`{entry.name}`",
            plain(entry.summary),
        ]
        for entry in catalog.entries(plugins)
    )
    return table(["vendor", "`type`", "does"], rows)


def vendors(plugins: Plugins) -> dict[str, str]:
    """The page of each installed provider, by the name of its type."""
    return {name: "".join(_vendor(name, plugins)) for name in sorted(plugins.providers)}


def _vendor(name: str, plugins: Plugins) -> Iterator[str]:
    cls, entry = plugins.provider_class(name), catalog.entry(plugins, name)
    instance = catalog.sample(cls, name, plugins)
    if instance is None:
        raise ValueError(f"the example of {name} doesn't pass the check")
    yield f"# {cls.__name__}\n\n{_prose(cls)}\n\n"
    if entry.retired:
        yield f"**Retired.** {entry.retired}.\n\n"
    yield f"The vendor's page: <{cls.docs}>. `multicdn providers {name}` prints most of what stands here.\n\n"
    # The check has a warning for those that have ended; all that is called `yaml` passes without one.
    yield f"```{'yml' if entry.retired else 'yaml'}\n{catalog.example_config(cls, name)}```\n\n## Options\n\n"
    yield "`type` names the vendor where the instance is called otherwise.\n\n"
    yield table(["option", "takes", "meaning", "default"], map(_option, entry.options))
    if entry.shared:
        yield "\nBeside these it has the [options of every provider](../config.md#where-a-cdn-stands).\n"
    yield "\n## What it can do\n\n"
    head = ["what", "how", "targets a call", "pace", "seen everywhere after", "limits by"]
    yield table(head, _abilities(cls, instance))
    yield from _notes(cls, instance)
    if finished := " ".join(catalog.finished(entry)):
        yield f"\n## When a purge is finished\n\n{finished}\n"
    yield "\n## What its credentials must be allowed\n\n"
    yield "".join(f"- {permission}\n" for permission in entry.permissions)
    yield from _iam(instance)
    if cls.diagnose is not Provider.diagnose:
        yield "\nWhether they are: [`multicdn doctor --online`](../doctor.md#what-vendors-are-asked).\n"


def _prose(cls: type[Provider]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").replace("``", "`").replace("\n", " ").replace("  ", "\n\n")


def _option(option: catalog.Option) -> list[str]:
    meaning = option.help + (f"; people have it in `{option.file}`" if option.file else "")
    words = ", ".join(f"`{word}`" for word in option.type.split(" | ")) if " | " in option.type else option.type
    words = words.replace("true or false", "`true`, `false`")
    words = _plural(words) if words.startswith("list of ") else words
    kind = "[a reference](../config.md#secrets)" if option.secret else words
    default = "required" if option.required else f"`{option.default}`" if option.default else ""
    return [f"`{option.name}`", kind, plain(meaning), default]


def _abilities(cls: type[Provider], instance: Provider) -> Iterator[list[str]]:
    for what in capabilities(instance):
        limits, purge = what.limits_of(instance), what.action == "purge"
        soft = issubclass(cls, SoftPurge) and purge and what.kind in cls.soft_kinds
        speed = cls.speeds.get(what.kind) if purge else None
        yield [
            f"{what.action} {what.kind}" if what.kind == "everything" else f"{what.action} by {what.kind}",
            "soft or hard" if soft else "hard only" if purge else "",
            _size(limits),
            _pace(limits),
            _seen(speed) if purge else "",
            link(limits.page) if limits.page else "not published",
        ]


def _size(limits: Limits) -> str:
    parts = [f"{limits.targets:,}{f' of up to {limits.target_bytes:,} bytes' if limits.target_bytes else ''}"]
    parts += [f"{limits.bytes:,} bytes a call"] if limits.bytes else []
    return "; ".join(parts)


def _pace(limits: Limits) -> str:
    rates = (limits.targets_per_second, "target"), (limits.calls_per_second, "call")
    parts = [_rate(number, what) for number, what in rates if number is not None]
    parts += [f"{limits.burst:,.4g} calls at once after a quiet time"] if limits.burst > 1 else []
    parts += [f"{limits.parallel} calls side by side"] if limits.parallel > 1 else []
    return "; ".join(parts) or "one call after the other"


def _rate(per_second: float, what: str) -> str:
    whole = per_second >= 1 and float(per_second).is_integer()
    number, unit = (per_second, "second") if whole else (per_second * 60, "minute")
    return f"{number:,.4g} {what}{'' if number == 1 else 's'} a {unit}"


def _seen(speed: Speed | None) -> str:
    if speed is None:
        return "not published"
    return f"{speed.seconds:g} s{f' in {speed.share} of cases' if speed.share else ''} ({link(speed.page)})"


def link(page: str) -> str:
    """A page by its host alone, which a cell of a table has room for; what isn't an address stays as it is."""
    host = urlsplit(page).hostname
    return f"[{host.removeprefix('www.')}]({page})" if host else page


def _notes(cls: type[Provider], instance: Provider) -> Iterator[str]:
    if cls.price:
        yield (
            f"\n## Price\n\n${cls.price.dollars:g} for each target, of whatever kind, after the account's first "
            f"{cls.price.free:,} a month: <{cls.price.page}>. How to spend less: "
            "[fewer targets](../config.md#fewer-targets); what it comes to: [cost](../cost.md).\n"
        )
    else:
        yield "\n## Price\n\nNo price of a purge is known here: the vendor publishes none, or has it in contracts.\n"
    quotas = {limits.quota for what in capabilities(instance) if (limits := what.limits_of(instance)).quota}
    if quotas:
        yield "\nSome of these limits are one budget of the vendor's, which its ways of purging share.\n"


def _iam(instance: Provider) -> Iterator[str]:
    statements = instance.iam_statements(_KEPT_OUT)
    if statements:
        text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2)
        yield f"\nWhat the installer writes into the function's role, for the example above:\n\n```json\n{text}\n```\n"


def replaced(text: str, name: str, content: str) -> str:
    """A page with the part between its marks ``<!-- name -->`` and ``<!-- /name -->`` made anew.

    Raises:
        ValueError: the marks aren't there, so that nothing would be written.
    """
    part = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
    made, times = part.subn(lambda _: content, text)
    if times != 1:
        raise ValueError(f"the marks of {name!r} stand {times} times")
    return made
