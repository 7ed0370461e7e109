"""Lists as tools print them, line by line, and the objects that each names."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multicdn.oncall.listings import Below, ListError, Listing, read

DOCS = Path(__file__).parents[2] / "docs" / "on-call.md"
NOWHERE = Below()
SITE = Below("shop-web", "")


def listing(text: str, below: Below = NOWHERE) -> Listing:
    return read(text, "list.txt", below)


def objects(text: str, below: Below = NOWHERE) -> list[str]:
    """URI and kind of each object of a list."""
    return [f"s3://{each.bucket}/{each.key} {each.kind or '-'}" for each in listing(text, below).entries]


def problems(text: str, below: Below = NOWHERE) -> list[str]:
    with pytest.raises(ListError) as caught:
        listing(text, below)
    return str(caught.value).splitlines()


# Whole outputs

AWS_SYNC = """\
upload: out/index.html to s3://shop-web/index.html
delete: s3://shop-web/old/page.html
copy: s3://build-42/app.js to s3://shop-web/app.js
"""


def test_the_list_of_a_sync_mixes_what_was_created_and_removed() -> None:
    """Case 13. Cut by grep, the last line was taken for one key of the bucket build-42."""
    expected = [
        "s3://shop-web/index.html created",
        "s3://shop-web/old/page.html removed",
        "s3://shop-web/app.js created",
    ]
    assert objects(AWS_SYNC) == expected
    dry = "".join(f"(dryrun) {line}\n" for line in AWS_SYNC.splitlines())
    assert objects(dry) == expected
    assert objects(dry.replace("\n", "\r\n")) == expected


def test_what_grep_leaves_of_a_copy_is_not_one_key() -> None:
    assert objects("s3://build-42/app.js to s3://shop-web/app.js\n") == ["s3://shop-web/app.js created"]
    assert problems("s3://a/x s3://b/y\n") == [
        "list.txt:1: 's3://a/x s3://b/y' holds two S3 URIs; write a line for each"
    ]


AWS_WITH_PROGRESS = (
    "Completed 256.0 KiB/~1.2 MiB (1.1 MiB/s) with ~3 file(s) remaining (calculating...)\r"
    "upload: out/a.js to s3://shop-web/a.js                                   \n"
    "Completed 1 file(s) with 1 file(s) remaining\rdelete: s3://shop-web/b.js          \n"
    "Completed 1.2 MiB/1.2 MiB (2.1 MiB/s) with 1 file(s) remaining\r"
    "upload failed: out/c.js to s3://shop-web/c.js An error occurred (AccessDenied) when calling PutObject\n"
    "download: s3://shop-web/d.js to in/d.js\n"
    "Completed 1.2 MiB/1.2 MiB (2.1 MiB/s) with 1 file(s) remaining\r"
)


def test_what_aws_draws_while_it_works_is_no_part_of_a_name() -> None:
    found = listing(AWS_WITH_PROGRESS)
    assert [(each.line, each.key) for each in found.entries] == [(1, "a.js"), (2, "b.js")]
    [(line, sentence)] = found.left_out
    assert line == 3
    assert sentence.endswith(": the tool did not do it")


def test_a_name_keeps_its_blanks_and_returns_where_nothing_was_drawn() -> None:
    assert objects("upload: a  to s3://shop-web/a \n") == ["s3://shop-web/a  created"]
    assert objects("s3://shop-web/album\r\b\b/KM 004.jpg\r\n") == ["s3://shop-web/album\r\b\b/KM 004.jpg -"]


AWS_LS = """\
2026-10-02 07:15:04          0 covers/
2026-10-02 07:15:04       1234 covers/issue 12.jpg
2026-10-02 07:15:04       1234  leading blank.jpg
2026-10-02 07:15:04 12345678901 films/a.mp4
2026-10-02 07:15:04    1.2 KiB KiB x.txt
2026-10-02 07:15:04    0 Bytes empty

Total Objects: 6
   Total Size: 12345681371
"""


def test_aws_ls() -> None:
    assert [each.key for each in listing(AWS_LS, SITE).entries] == [
        "covers/", "covers/issue 12.jpg", " leading blank.jpg", "films/a.mp4", "KiB x.txt", "empty",
    ]  # fmt: skip
    assert problems(AWS_LS + "s3://m/a\n")[0] == (
        "list.txt:1: '2026-10-02 07:15:04          0 covers/' has no bucket: say with --bucket where its keys are"
    )
    [problem] = problems("                           PRE covers/\n2026-10-02 07:15:04       1234 a.jpg\n", SITE)
    assert problem.startswith("list.txt:1: ")
    assert problem.endswith("is a folder; have the tool list what is in it, too (--recursive)")


S3CMD = """\
INFO: Compiling list of local files...
upload: 'out/it's.html' -> 's3://shop-web/it's.html'  [1 of 2]
 65536 of 98304    66% in    0s   812.03 kB/s 98304 of 98304   100% in    0s   812.03 kB/s  done
upload: 'out/b.html' -> 's3://shop-web/b.html'  (1234 bytes in 0.1 seconds, 12.05 kB/s) [2 of 2]
remote copy: 's3://build-42/app.js' -> 's3://shop-web/app.js'
delete: 's3://shop-web/old.html'
move: 's3://shop-web/c' -> 's3://shop-web/d'
download: 's3://shop-web/e' -> './e'  [1 of 1]
Done. Uploaded 1234 bytes in 1.0 seconds, 1.21 kB/s.
"""


def test_s3cmd() -> None:
    assert objects(S3CMD) == [
        "s3://shop-web/it's.html created", "s3://shop-web/b.html created", "s3://shop-web/app.js created",
        "s3://shop-web/old.html removed", "s3://shop-web/c removed", "s3://shop-web/d created",
    ]  # fmt: skip
    assert objects("2026-10-02 07:15         1234  s3://shop-web/covers/issue 12.jpg\n") == [
        "s3://shop-web/covers/issue 12.jpg -"
    ]
    [problem] = problems("                          DIR  s3://shop-web/covers/\n")
    assert problem.endswith("is a folder; have the tool list what is in it, too (--recursive)")


S5CMD = """\
cp out/a b.html s3://shop-web/a b.html
rm s3://shop-web/old.html
mv s3://shop-web/c s3://shop-web/d
mv s3://shop-web/e f.html in/e f.html
cp s3://shop-web/g.html g.html
ERROR "cp out/h.html s3://shop-web/h.html": AccessDenied: Access Denied status code: 403
"""


def test_s5cmd() -> None:
    found = listing(S5CMD)
    assert objects(S5CMD) == [
        "s3://shop-web/a b.html created", "s3://shop-web/old.html removed", "s3://shop-web/c removed",
        "s3://shop-web/d created", "s3://shop-web/e f.html removed",
    ]  # fmt: skip
    assert [line for line, _ in found.left_out] == [6]
    assert objects("2026/10/02 07:15:04              1234  covers/a.jpg\n", SITE) == ["s3://shop-web/covers/a.jpg -"]


RCLONE = """\
2026/10/02 07:15:04 INFO  : covers/issue 12.jpg: Copied (new)
2026/10/02 07:15:04 INFO  : a: b.jpg: Copied (replaced existing)
2026/10/02 07:15:04 INFO  : big.mp4: Multi-thread Copied (new)
2026/10/02 07:15:04 INFO  : old.jpg: Deleted
2026/10/02 07:15:04 INFO  : new.html: Renamed from "draft.html"
2026/10/02 07:15:04 NOTICE: dry.jpg: Skipped copy as --dry-run is set (size 1.205Ki)
2026/10/02 07:15:04 NOTICE: dry-old.jpg: Skipped delete as --dry-run is set (size 1.205Ki)
2026/10/02 07:15:04 ERROR : bad.jpg: Failed to copy: AccessDenied
2026/10/02 07:15:04 DEBUG : same.jpg: Unchanged skipping
2026/10/02 07:15:05 INFO  : S3 bucket shop-web: Waiting for checks to finish
2026/10/02 07:15:05 INFO  :\x20
Transferred:   \t    1.205 KiB / 1.205 KiB, 100%, 0 B/s, ETA -
Checks:                 4 / 4, 100%
Deleted:                1 (files), 0 (dirs), 12 B (freed)
Transferred:            3 / 3, 100%
Elapsed time:         1.2s

"""


def test_rclone_log() -> None:
    assert objects(RCLONE, Below("shop-web", "v2/")) == [
        "s3://shop-web/v2/covers/issue 12.jpg created", "s3://shop-web/v2/a: b.jpg created",
        "s3://shop-web/v2/big.mp4 created", "s3://shop-web/v2/old.jpg removed", "s3://shop-web/v2/draft.html removed",
        "s3://shop-web/v2/new.html created", "s3://shop-web/v2/dry.jpg created", "s3://shop-web/v2/dry-old.jpg removed",
    ]  # fmt: skip
    assert [line for line, _ in listing(RCLONE, SITE).left_out] == [8]


def test_what_rclone_moves_is_deleted_at_its_source() -> None:
    log = "2026/10/02 07:15:04 INFO  : a.jpg: Copied (new)\n2026/10/02 07:15:04 INFO  : a.jpg: Deleted\n"
    assert objects(log, SITE) == ["s3://shop-web/a.jpg created"]


def test_rclone_lists() -> None:
    assert objects("     1234 covers/a.jpg\n      567  b.jpg\n1234567890 c.mp4\n", SITE) == [
        "s3://shop-web/covers/a.jpg -", "s3://shop-web/ b.jpg -", "s3://shop-web/c.mp4 -",
    ]  # fmt: skip
    assert objects("     1234 2026-10-02 07:15:04.201000000 covers/a b.jpg\n", SITE) == [
        "s3://shop-web/covers/a b.jpg -"
    ]
    combined = "+ new.html\n* changed.html\n- gone.html\n= same.html\n! unread.html\n"
    assert objects(combined, SITE) == [
        "s3://shop-web/new.html created", "s3://shop-web/changed.html created", "s3://shop-web/gone.html removed",
        "s3://shop-web/unread.html created",
    ]  # fmt: skip


def test_keys_that_look_like_columns_are_keys() -> None:
    keys = ["01 Track.mp3", "1696233313 photo.jpg", "- draft.html", "docs/", "Completed.html", "cp a.txt", "#tag.html"]
    assert [each.key for each in listing("\n".join(keys), SITE).entries] == keys
    stamped = ["1696233313 a.jpg", "16962333140 b.jpg"]
    assert [each.key for each in listing("\n".join(stamped), SITE).entries] == stamped


# The kinds of line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("upload: ./a to b.html to s3://m/a to b.html", ["s3://m/a to b.html created"]),
        ("copy: s3://a/x to s3://b/y to s3://c/z", ["s3://c/z created"]),
        ("move: out/a.html to s3://m/a.html", ["s3://m/a.html created"]),
        ("move: s3://a/k to s3://b/k", ["s3://a/k removed", "s3://b/k created"]),
        ("move: s3://a/k.html to in/k.html", ["s3://a/k.html removed"]),
        ("move: s3://a/x to y.html to in/x to y.html", ["s3://a/x to y.html removed"]),
        ("(dryrun) delete: s3://m/old to new.html", ["s3://m/old to new.html removed"]),
        ("delete: s3://m/a/", ["s3://m/a/ removed"]),
        ("download: s3://m/a to in/a", []),
        ("created: s3://m/a", ["s3://m/a created"]),
        ("removed: s3://m/a b", ["s3://m/a b removed"]),
        ("s3://m/größe.html", ["s3://m/größe.html -"]),
        ("# a comment", []),
        ("#", []),
        ("   ", []),
    ],
)
def test_line(line: str, found: list[str]) -> None:
    assert objects(line) == found


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("covers/a.jpg", "is neither an S3 URI nor a URL, nor a line of a tool that is known; keys need --bucket"),
        ("removed: covers/a.jpg", "has no bucket: say with --bucket where its keys are"),
        ("s3://media-prod", "names no object; write s3://bucket/key"),
        ("s3:///a.jpg", "names no object; write s3://bucket/key"),
        ("delete: s3://media-prod/", "names no object; write s3://bucket/key"),
        ("move: s3://a/x to y to z", "may be cut at several places; write the S3 URI alone"),
        ("created: ", "names no object"),
        ("ftp://a/b", "is neither an S3 URI nor a URL, nor a line of a tool that is known; keys need --bucket"),
    ],
)
def test_a_line_that_means_nothing_is_named_with_its_number(line: str, reason: str) -> None:
    assert problems(f"# first\n\n{line}\n") == [f"list.txt:3: {line!r} {reason}"]


def test_a_line_that_no_path_and_key_fill_is_refused() -> None:
    [problem] = problems(f"upload: {'x' * 9000} to s3://m/a\n")
    assert problem.endswith("has 9,020 characters, more than a file's path and a key")
    assert len(problem) < 400


@pytest.mark.parametrize(
    "line",
    [
        "Uploading s3://shop-web/a.js",
        "2026/10/02 07:15:04              1.2K  a.jpg",
        "2026-10-02T07:15:04Z a.jpg",
        "[2026-10-02 07:15:04 UTC] 1.2KiB STANDARD covers/a.jpg",
        "    1.205Ki covers/a.jpg",
        "`out/a.jpg` -> `minio/shop-web/a.jpg`",
        "Removed `minio/shop-web/a.jpg`.",
    ],
)
def test_a_line_of_a_tool_that_is_not_known_is_not_taken_for_a_key(line: str) -> None:
    reason = "looks like a line of a tool, in a format that isn't known; write the S3 URI or the key alone"
    assert problems(f"a.js\n{line}\n", SITE) == [f"list.txt:2: {line!r} {reason}"]


def test_ten_lines_are_named_and_the_rest_is_counted() -> None:
    lines = "\n".join(f"oops {number}" for number in range(1_234))
    found = problems(f"{lines}\ns3://m/a\n")
    assert len(found) == 11
    assert found[-1] == "and 1,224 more lines"


def test_one_line_tells_enough_of_what_is_no_list() -> None:
    first = "list.txt:1: 'version: 1' is neither an S3 URI nor a URL, nor a line of a tool that is known"
    assert problems("version: 1\nproviders:\n  a:\n") == [f"{first}; keys need --bucket", "and 2 more lines"]


def test_the_last_word_on_an_object_counts() -> None:
    assert objects("upload: a to s3://m/a\ndelete: s3://m/a\n") == ["s3://m/a removed"]
    assert objects("delete: s3://m/a\nupload: a to s3://m/a\n") == ["s3://m/a created"]


def test_urls_and_objects_may_be_mixed() -> None:
    found = listing("s3://m/a\nhttps://www.example.org/b\n")
    assert [(each.key, each.url) for each in found.entries] == [("a", ""), ("", "https://www.example.org/b")]


def test_a_name_that_is_not_utf_8_costs_that_name_alone() -> None:
    found = listing("upload: caf\udce9 to s3://m/caf\udce9\nupload: b\udce9 to s3://m/b\ns3://m/c\n")
    assert [each.key for each in found.entries] == ["b", "c"]
    [(line, sentence)] = found.left_out
    assert line == 1
    assert sentence.endswith("the name isn't UTF-8, and keys in S3 are")


def test_what_a_key_is_below_is_put_before_it() -> None:
    assert objects("a b.html\n s3.html\ncreated: x\nremoved: y\n", Below("m", "docs/")) == [
        "s3://m/docs/a b.html -", "s3://m/docs/ s3.html -", "s3://m/docs/x created", "s3://m/docs/y removed",
    ]  # fmt: skip
    assert objects("s3://other/k\n", Below("m", "docs/")) == ["s3://other/k -"]


def test_an_access_point_is_the_bucket_that_is_named() -> None:
    line = "upload: out/a.js to s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/web/js/a.js"
    assert objects(line, SITE) == ["s3://shop-web/js/a.js created"]
    assert problems(line) == [f"list.txt:1: {line!r} has no bucket: say with --bucket where its keys are"]


# Any name

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r"), min_size=1, max_size=60)
TRICKY = st.text(st.sampled_from(" to->'s3:/.ab#("), min_size=1, max_size=40)
KEYS = (NAMES | TRICKY).filter(lambda key: "s3://" not in key)


@given(NAMES | TRICKY, KEYS)
def test_any_file_and_any_key_are_told_apart(file: str, key: str) -> None:
    created, removed = [("shop-web", key, "created")], [("shop-web", key, "removed")]

    def found(line: str) -> list[tuple[str, str, str | None]]:
        return [(each.bucket, each.key, each.kind) for each in listing(f"{line}\n", SITE).entries]

    assert found(f"upload: {file} to s3://shop-web/{key}") == created
    assert found(f"(dryrun) copy: s3://build/{file} to s3://shop-web/{key}") == created
    assert found(f"delete: s3://shop-web/{key}") == removed
    assert found(f"cp {file} s3://shop-web/{key}") == created
    assert found(f"rm s3://shop-web/{key}") == removed
    assert found(f"2026-10-02 07:15:04       1234 {key}") == [("shop-web", key, None)]
    if "'  " not in key + "'":
        assert found(f"upload: 'x{file}' -> 's3://shop-web/{key}'  [1 of 2]") == created


@given(st.text(max_size=200) | st.text(st.sampled_from("s3:/ to->'\r\n-+*cprmABC0129.uploadmovetdelt"), max_size=200))
def test_any_text_is_a_list_or_is_told_why_not(text: str) -> None:
    for below in (NOWHERE, SITE):
        with contextlib.suppress(ListError):
            assert all(each.url or (each.bucket and each.key) for each in listing(text, below).entries)


# The page


def rows() -> list[tuple[str, str, str]]:
    """The table of formats: tool, line, and what it names."""
    table = DOCS.read_text(encoding="utf-8").partition("| tool | a line | names |\n")[2].partition("\n\n")[0]
    cells = [re.split(r" \| ", line.removeprefix("| ").removesuffix(" |")) for line in table.splitlines()[1:]]
    return [(tool, line.strip("`"), names) for tool, line, names in cells]


@pytest.mark.parametrize(("tool", "line", "names"), rows())
def test_the_table_of_formats_is_true(tool: str, line: str, names: str) -> None:
    found = [each.removesuffix(" -") for each in objects(line, SITE)]
    assert ", ".join(f"`{uri}` {kind}".strip() for uri, kind in map(_parted, found)) == names
    if "`--bucket`" in tool:
        assert problems(line)
    else:
        assert objects(line) == objects(line, SITE)


def _parted(found: str) -> tuple[str, str]:
    uri, _, kind = found.rpartition(" ")
    return (uri, kind) if kind in ("created", "removed") else (found, "")


def test_the_table_has_every_tool() -> None:
    assert {re.sub(" with .*", "", tool) for tool, _, _ in rows()} == {
        "`aws s3`", "`aws s3 ls --recursive`", "`s3cmd`", "`s5cmd`", "`rclone -v`", "`rclone --combined`",
        "`rclone ls`", "`rclone lsl`", "`rclone lsf`", "by hand",
    }  # fmt: skip


@pytest.mark.parametrize(
    "unit", ["a' -> '", " to s3://", "s3://", ": Copied (", "' ", "  ", "\r", "1 ", "cp ", ": ", "#"]
)
def test_a_long_line_is_read_at_once(unit: str) -> None:
    begun = time.thread_time()
    for start in (
        "",
        "upload: ",
        "move: s3://a",
        "move: 's3://",
        "mv s3://a ",
        "2026/10/02 07:15:04 INFO  : ",
        "         1",
    ):
        try:
            listing(start + unit * (8_000 // len(unit)), SITE)
        except ListError:
            continue
    assert time.thread_time() - begun < 1
