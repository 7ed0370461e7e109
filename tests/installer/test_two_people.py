"""Two people install at once: neither undoes what the other did since the plan was made, on AWS on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from kit import installs
from kit.installs import Installer

from multicdn.installer import run
from multicdn.installer.apply import carry_out
from multicdn.installer.errors import PassingError

if TYPE_CHECKING:
    from pathlib import Path

    from multicdn.installer.steps import InstallPlan
    from multicdn.testing.loopback.aws import LoopbackAws


def memory(aws: LoopbackAws) -> int:
    [function] = [
        one for one in aws.client("lambda").list_functions()["Functions"] if one["FunctionName"].startswith("multicdn")
    ]
    return int(function["MemorySize"])


def seen(aws: LoopbackAws) -> dict[str, Any]:
    """All but the mappings, which say when they last did something."""
    return {name: value for name, value in installs.everything(aws).items() if name != "mappings"}


def apply(who: Installer, made: InstallPlan) -> str:
    """What is said of a plan that is out of date."""
    with pytest.raises(PassingError) as refused:
        run.apply(who.session(), made, who.said.append, who.said.append)
    return str(refused.value)


def test_a_plan_that_somebody_overtook_does_nothing_to_the_stack(
    account: LoopbackAws, installer: Installer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = installer.plan()
    assert first.fresh
    (tmp_path / "other").mkdir()
    other = Installer(tmp_path / "other", installs.text("memory: 256"))
    other.apply()
    before = seen(account)
    assert "somebody else changed the stack multicdn since the plan was made" in apply(installer, first)
    with monkeypatch.context() as patch:
        installs.become(account, patch, denied=("s3:PutObject", "s3:PutBucketTagging"))
        assert "Somebody else has installed it meanwhile" in apply(installer, first)
    assert memory(account) == 256
    assert seen(account) == before

    installer.write(installs.text("memory: 1024"))
    second = installer.plan()
    other.write(installs.text("memory: 512"))
    other.apply()
    assert "somebody else changed the stack" in apply(installer, second)
    assert memory(account) == 512
    installer.apply()
    assert memory(account) == 1024


def test_the_bucket_that_another_one_follows_goes_too(account: LoopbackAws, installer: Installer) -> None:
    before: dict[str, Any] = installs.everything(account)
    installer.apply()
    installer.write(installs.text("artifact_bucket: acme-code"))
    installer.apply()
    assert sorted(installs.everything(account)["buckets"]) == ["acme-code", installs.BUCKET]
    installer.destroy()
    assert installs.everything(account) == before


def test_a_bucket_that_a_killed_run_left_goes_too(account: LoopbackAws, installer: Installer) -> None:
    before: dict[str, Any] = installs.everything(account)
    opened = installer.session()
    for step in installer.plan().steps[:2]:
        carry_out(step, opened.account, installer.said.append)
    installer.write(installs.text("artifact_bucket: acme-code"))
    installer.destroy()
    assert installs.everything(account) == before
