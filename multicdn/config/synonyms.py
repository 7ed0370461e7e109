"""What other tools call the members of our config file. Pure, and imported only for words that nobody here knows.

A word that is merely spelled like one of ours may mean something else, or its opposite; so these come first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from multicdn.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection


class _Meaning(NamedTuple):
    """What some words mean.

    Attributes:
        words: of other tools, in lower case with underscores.
        members: ours for it; the first of them that there is counts.
        beside: what to know when it is used.
        instead: what to do where there is none.
    """

    words: str
    members: tuple[str, ...] = ()
    beside: str = ""
    instead: str = ""


_ROUTE = (
    _Meaning(
        "includes included include_patterns only only_on matches matching pattern patterns glob globs filter filters "
        "keys files filenames whitelist",
        ("include",),
    ),
    _Meaning("suffixes extension extensions ext exts ending endings file_types filetypes", ("suffix",)),
    _Meaning("ignore ignores ignored skip except excluding exclusions excluded blacklist deny reject", ("exclude",)),
    _Meaning(
        "folder directory dir path subfolder key_prefix keyprefix s3_prefix starts_with origin_path originpath base",
        ("prefix",),
    ),
    _Meaning(
        "bucket_name bucketname source source_bucket s3_bucket s3bucket buckets bucket_names",
        ("bucket",),
    ),
    _Meaning("event events event_types event_type trigger triggers when types actions change changes", ("on",)),
    _Meaning(
        "host hostname hostnames domain domains domain_name site website origin base_url baseurl cname cnames alias",
        ("urls",),
        "such as https://www.example.com/{key}; `hosts` purges all of a host at any change",
    ),
    _Meaning("url_template templates template paths path_patterns locations objects uri uris items", ("urls",)),
    _Meaning(
        "provider providers cdn cdns vendor vendors invalidate invalidation invalidations flush clear ban targets",
        ("purge",),
    ),
    _Meaning("warm warmup warm_up prewarm prefetch pre_load load fetch cache refresh", ("preload",)),
    _Meaning("all purge_all purge_everything flush_all everything_", ("everything",)),
    _Meaning("hard hard_purge", ("soft",), "with the opposite value: `soft: false` drops at once"),
    _Meaning("stale soft_purge softpurge mark_stale", ("soft",)),
    _Meaning("surrogate_keys surrogate_key cache_tags cache_tag edge_cache_tag tag", ("tags",)),
    _Meaning("verification verified check_fresh prove proof probe fresh freshness", ("verify",)),
    _Meaning("tags_header tag_header metadata metadata_tags tags_metadata", ("tags_from",)),
    _Meaning("index_document indexdocument index_file default_root_object directory_index", ("index",)),
    _Meaning("trailing_slash slash no_slash without_slash strip_slash", ("bare",)),
    _Meaning("clean_urls cleanurls pretty_urls strip_extension strip_extensions remove_extension", ("strip",)),
    _Meaning("variants sizes thumbnails derived related dependents also_purge", ("also",)),
    _Meaning("batch group threshold wildcard wildcards budget max_paths", ("collapse",)),
    _Meaning("ignorecase case_insensitive insensitive nocase", ("ignore_case",)),
    _Meaning("case_sensitive match_case case", ("ignore_case",), "with the opposite value"),
    _Meaning("regex regexp regular_expression re capture captures", ("match",)),
    _Meaning("enabled enable disabled disable active off", instead="take the route out of the file, or comment it out"),
    _Meaning("region aws_region", instead="`region` under `install` is that of all buckets"),
    _Meaning("account account_id", instead="buckets are those of the account in which the function runs"),
    _Meaning("delay wait debounce quiet quiet_period settling deploy", ("settle",), "such as {quiet: 20s}"),
    _Meaning("after_key wait_for marker done_key last_key sentinel", ("after",), "the key that is uploaded last"),
    _Meaning("batch_window", instead="`batch_window` under `install` gathers events"),
    _Meaning("priority order weight", instead="every route that matches applies, in any order"),
    _Meaning("comment description note id title label", instead="write a comment, after #"),
    _Meaning("ttl max_age maxage expires cache_control", instead="the object's own headers say how long it is kept"),
    _Meaning("retries retry timeout attempts", instead="`delivery` says how long is tried"),
)  # fmt: skip

_FILE = (
    _Meaning("cdn cdns vendors vendor backends", ("providers",)),
    _Meaning("rules rule sites site buckets mappings behaviors paths", ("routes",)),
    _Meaning("retry retries queue timeouts", ("delivery",)),
    _Meaning("aws lambda function deploy deployment stack settings region", ("install",)),
    _Meaning("defaults default anchors anchor aliases definitions common shared base templates",
             instead="what is shared stands under a name that begins with x-, such as x-defaults"),
)  # fmt: skip

_OPTION = (
    _Meaning("api_key apikey key api_token apitoken auth_token access_token bearer secret", ("token", "secret")),
    _Meaning("zone_id zoneid", ("zone",)),
    _Meaning("service_id serviceid", ("service",)),
    _Meaning("distribution_id distributionid distributions", ("distribution",)),
    _Meaning("base_url url host api_url api", ("endpoint",)),
    _Meaning("edge edge_host edge_hostname cdn_host connect_to through", ("via",)),
    _Meaning("upstream parent inner behind after depends_on fetches_from pulls_through", ("pulls_from",)),
    _Meaning("purge_again repeat twice second_purge", ("again",)),
    _Meaning("enabled enable disabled disable active", instead="take the provider out of the file, or comment it out"),
)

# Names of events in S3, in EventBridge and in other tools, and values of `on`.
_ON = (
    _Meaning("create put post copy upload uploaded write written update updated modify modified add "
             "added save completemultipartupload objectcreated object_created new", ("created",)),
    _Meaning("remove delete deleted del purge expire expired expiration lifecycleexpiration objectremoved "
             "objectdeleted object_removed object_deleted unlink", ("removed",)),
    _Meaning("all any both change changed *", instead="leave `on` out, and all changes count"),
)  # fmt: skip

_BY_PLACE = {"member": _ROUTE, "file": _FILE, "option": _OPTION, "on": _ON}


def suggestion(word: str, known: Collection[str], place: str) -> str:
    """End a sentence about an unknown word: with ours for it, or with what to do instead.

    Args:
        word: as it is written.
        known: the words that may stand there.
        place: ``member`` of a route, ``file`` for a section of it, ``option`` of a provider, ``on``, or another, for
            which nothing but the spelling counts.
    """
    if place == "file" and (own := re.fullmatch(r"[._]([\w-]+)|[Xx][_-]([\w-]+)", word)):
        return f"; what is yours begins with x-: write 'x-{own[1] or own[2]}'"
    plain = word.strip().lower().removeprefix("s3:").partition(":")[0]
    spelled = plain.replace("-", "_").replace(" ", "_")
    for meaning in _BY_PLACE.get(place, ()):
        if spelled in meaning.words.split():
            ours = next((member for member in meaning.members if member in known), "")
            if ours:
                return f"; write {ours!r}{meaning.beside and f', {meaning.beside}'}"
            if meaning.instead:
                return f"; there is none: {meaning.instead}"
    return did_you_mean(word, known)
