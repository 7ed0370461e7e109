"""What is done to botocore: data for the calls that a bundle makes and no others, and trust that is read only once.

Where botocore is inside other than it was, its clients are left as they are, and only cost more.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.credentials import RefreshableCredentials
from botocore.loaders import Loader
from botocore.session import Session

from multicdn._botocore.lean_data import COMMON, FUNCTIONS, MODEL, PAGES, RULES, LeanData
from multicdn._botocore.trust import share_trust
from multicdn._botocore.turns import SessionTurns
from multicdn.bounds import obey_botocore
from multicdn.errors import told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["COMMON", "FOLDER", "FUNCTIONS", "MODEL", "PAGES", "RULES", "client", "given_credentials", "region"]

# The folder of a bundle with its data, beside the packages.
FOLDER = "multicdn_aws"

# Of so many environments, each with the bundle's data or without.
_SESSIONS = 4

# Credentials that are renewed now and then; others stand in the environment.
_given: deque[RefreshableCredentials] = deque(maxlen=_SESSIONS)

_turns = SessionTurns()


def client(service: str, unfit: Callable[[str], object], **settings: Any) -> Any:
    """Make a client from the bundle's data where that has the service and will do, and else from botocore's own.

    Args:
        service: as botocore calls it.
        unfit: hears why the bundle's data will not do.
        settings: as for botocore.

    Raises:
        NotMadeError: it takes too long, or one that another thread makes does.
    """
    obey_botocore()
    made, trouble = _turns.take(f"client of {service}", functools.partial(_best, service, settings))
    if trouble:
        unfit(trouble)
    return made


def region() -> str | None:
    """The region of whoever names none."""
    found: str | None = _turns.take(
        "region", lambda: _session(_surroundings(), lean=True).get_config_variable("region")
    )
    return found


def _best(service: str, settings: dict[str, Any]) -> tuple[Any, str]:
    """A client, and why the bundle's data will not do for it."""
    whole = functools.partial(_made, service, settings, lean=False)
    data = _session(_surroundings(), lean=True).get_component("data_loader")
    if not isinstance(data, LeanData):
        return whole(), ""
    try:
        if not data.has(service):
            return whole(), ""
        data.refuse_unfit(service)
        made = _made(service, settings, lean=True)
    except Exception as error:  # noqa: BLE001 - of data and code that don't match; or it isn't the data's fault
        made = whole()
        data.drop(service)
        return made, told(error)
    _add_the_rest(made, functools.cache(functools.partial(_turns.take, f"client of {service}", whole)))
    return made, ""


def _made(service: str, settings: dict[str, Any], *, lean: bool) -> Any:
    session = _session(_surroundings(), lean=lean)
    made = session.create_client(service, **settings)
    share_trust(made)
    given = session.get_credentials()
    if isinstance(given, RefreshableCredentials) and given not in _given:
        _given.append(given)
    return made


def given_credentials() -> Iterator[str]:
    """What must not be shown of credentials that a service or a program has given, as it is now."""
    for each in tuple(_given):
        # Whoever asks for them by their names has them renewed.
        yield from filter(None, (getattr(each, "_secret_key", None), getattr(each, "_token", None)))


def _surroundings() -> frozenset[tuple[str, str]]:
    """What a session reads of the environment, once: credentials, profile, files."""
    return frozenset(item for item in os.environ.items() if item[0].startswith("AWS_") or item[0] == "HOME")


@functools.lru_cache(maxsize=_SESSIONS)
def _session(surroundings: frozenset[tuple[str, str]], *, lean: bool) -> Session:
    del surroundings
    session = Session()
    folder = Path(__file__).parents[2] / FOLDER
    # Models that somebody has put there are meant to be used.
    named = session.get_config_variable("data_path") or Path(Loader.CUSTOMER_DATA_PATH).is_dir()
    if lean and not named and folder.is_dir():
        session.register_component("data_loader", LeanData(folder))
    return session


def _add_the_rest(made: Any, whole: Callable[[], Any]) -> None:
    """Let calls that a bundle's data lacks be made by a client of all data: plugins may make more than they say."""

    def rest(event_name: str, **_: object) -> Any:
        name = event_name.rpartition(".")[2]
        return None if name.startswith("_") else getattr(whole(), name, None)

    made.meta.events.register(f"getattr.{made.meta.service_model.service_id.hyphenize()}", rest)
