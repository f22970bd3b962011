"""
Every number of the gateway and its surroundings, with its source, and every choice where AWS's behaviour is unknown.

"Quotas page" is the developer guide's page of WebSocket API quotas.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


#: Codes that a close frame may have (RFC 6455, 7.4), and bytes of its reason (5.5).
_CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
_LONGEST_REASON = 123
#: Longest URL of an upgrade request, scheme and host included: 4,096 characters (quotas page).
LONGEST_URL = 4_096
#: Largest answer of an authorizer: 8 KB (quotas page).
LARGEST_POLICY = 8_192


class UnknownLimit(ValueError):
    """``--limit`` or ``--choice`` names one that there is not, or gives it a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What ``--limit NAME=VALUE`` can set.

    Durations are seconds, sizes bytes, rates requests a second; ``None`` means that nothing is limited.
    """

    #: Longest life of a connection: 2 hours (quotas page).
    life: float = 7_200.0
    #: Longest silence of a connection: 10 minutes without a message in either direction (quotas page).
    idle: float = 600.0
    #: Longest wait for an integration: 29 seconds (quotas page); a route may have a shorter one.
    integration: float = 29.0
    #: Largest frame from a client: 32 KB (quotas page); a larger one closes with 1009.
    frame: int = 32_768
    #: Largest message in either direction: 128 KB (quotas page); a larger one closes with 1009, a larger post gets 413.
    message: int = 131_072
    #: New connections a second: 500 for an account and region (quotas page); off unless asked for.
    connects: float | None = None
    #: Requests a second of the whole account: 10,000 (quotas page); off unless asked for.
    rate: float | None = None
    #: How many of those at once: 5,000 (quotas page).
    burst: int = 5_000
    #: Bytes that a client has not read yet before a post to it gets 429. AWS says that the client's buffer may be
    #: full (model of PostToConnection) but not how large it is; two of the largest messages is a choice.
    backlog: int = 262_144
    #: Processes a function may have at once. AWS's default is 1,000 for an account; a laptop has fewer cores.
    concurrency: int = 10

    def with_account_quotas(self) -> Limits:
        """Switch on what an account has in a region unless AWS raised it (quotas page)."""
        return replace(self, connects=500, rate=10_000, burst=5_000)

    def with_settings(self, settings: dict[str, str]) -> Limits:
        """
        Replace the limits that ``settings`` names, as ``--limit`` gives them.

        Durations are written ``20s``, ``5m``, ``2h`` or ``500ms``; everything else is a plain number.

        Raises:
            UnknownLimit: For a name that is none of these, or a value that is no such number.
        """
        known = {field.name: field for field in fields(self)}
        changed: dict[str, float | int] = {}
        for name, text in settings.items():
            if name not in known:
                raise UnknownLimit(f"no such limit: {name!r}; there are {', '.join(known)}")
            changed[name] = _duration(name, text) if name in DURATIONS else _number(name, text)
        return replace(self, **changed)  # type: ignore[arg-type] # the names were looked up above


DURATIONS = ("life", "idle", "integration")


@dataclass(frozen=True, slots=True)
class Choices:
    """
    What AWS does not document and nobody has reported for certain: what ``--choice NAME=VALUE`` can set.

    Each default is the likeliest of what is known; ``tests/conformance/README.md`` says which fact each stands for.
    """

    #: Whether permessage-deflate is agreed to where a client offers it. AWS does; off makes frames readable on the way.
    compression: bool = True
    #: Whether a client's ping counts as activity. Reports contradict each other; most say that only messages count.
    ping_resets_idle: bool = False
    #: How many seconds late an idle connection is closed. The one capture was 3.9 s late; here nobody has to wait.
    idle_late_by: float = 0.0
    #: Whether a post to a connection moves its ``lastActiveAt``. It does keep the connection alive either way.
    post_moves_last_active: bool = True
    #: The text of the frame that a throttled message gets. REST APIs say this.
    throttled_message: str = "Too Many Requests"
    #: The reason in a close frame with 1002, 1003, 1007 or 1009. No capture shows one.
    refusal_reason: str = ""
    #: What the client reads when DELETE @connections closes its socket. Only the function's side was captured.
    deleted_code: int = 1000
    deleted_reason: str = ""
    #: How many seconds after its end a connection's ``$disconnect`` is run, and which share of them never is. AWS calls
    #: its delivery best effort; here it is certain unless somebody wants to see what else happens.
    disconnect_late_by: float = 0.0
    disconnect_lost: float = 0.0
    #: How many seconds it takes to notice that a client is gone without a word. The loopback tells at once; on AWS such
    #: a connection may stay, and be posted to, until it is idle.
    lost_late_by: float = 0.0
    #: Whether a ``$connect`` that answers 201 to 299 lets the client in; else 200 alone does, and these are 502.
    any_success_opens: bool = True
    #: Whether a ``$connect`` that answers 5xx refuses with that status; else with 502.
    fault_statuses_pass: bool = True
    #: Whether ``$disconnect`` is run for a client that ``$connect`` refused.
    refused_is_told: bool = False
    #: Whether a number or a truth value selects a route by its text; else it selects ``$default``.
    numbers_select: bool = True
    #: Answer to a ``$connect`` that exceeds its integration timeout; REST APIs say 504.
    connect_timeout_status: int = 504
    #: Answer to a URL of more than 4,096 characters; the quota is documented, the status is HTTP's own for it.
    long_url_status: int = 414
    #: The message for a client that an authorizer's policy denies; REST APIs have a longer one.
    denied_message: str = "Forbidden"
    #: Whether a function that answers a message with ``null`` gets the client an error frame.
    null_is_an_error: bool = False
    #: Whether a two-way route sends an empty message where a function's body is the empty string.
    empty_body_is_sent: bool = False
    #: The text of the frame that a client gets instead of a two-way answer of more than 128 KB. Somebody remembers it.
    long_answer_message: str = "Message too long"
    #: Whether an event for a function whose processes (``--limit concurrency``) are all busy fails, as when an
    #: account's concurrency is used up; else it waits for one, for a laptop's few would be used up at once.
    exhausted_is_an_error: bool = False
    #: Whether a post, or an HTTP backend's answer, that is no UTF-8 arrives with replacement characters; else as it is,
    #: and clients hang up (1007).
    mend_text: bool = True

    def with_settings(self, settings: dict[str, str]) -> Choices:
        """
        Replace the choices that ``settings`` names, as ``--choice`` gives them.

        Truth values are written ``on`` and ``off``.

        Raises:
            UnknownLimit: For a name that is none of these, or a value that is not of its kind.
        """
        known = {field.name: field for field in fields(self)}
        changed: dict[str, bool | float | str] = {}
        for name, text in settings.items():
            if name not in known:
                raise UnknownLimit(f"no such choice: {name!r}; there are {', '.join(known)}")
            changed[name] = _READERS[str(known[name].type)](name, text)
            _check(name, changed[name])
        return replace(self, **changed)  # type: ignore[arg-type] # the names were looked up above


def _check(name: str, value: bool | float | str) -> None:  # noqa: FBT001 # whatever a choice may be
    """Refuse a value that a frame or an answer cannot carry."""
    if name.endswith("_status") and not 400 <= float(value) < 600:  # noqa: PLR2004 # refusals of HTTP
        raise UnknownLimit(f"choice {name}: {value} is no status of a refusal; they are 400 to 599")
    if name.endswith("_code") and not any(float(value) in codes for codes in _CLOSE_CODES):
        raise UnknownLimit(f"choice {name}: {value} is no code that a close frame may have")
    if name.endswith("_reason") and len(str(value).encode()) > _LONGEST_REASON:
        raise UnknownLimit(f"choice {name}: a close frame has room for {_LONGEST_REASON} bytes")
    if name.endswith("_lost") and float(value) > 1:
        raise UnknownLimit(f"choice {name}: {value} is no share; it is between 0 and 1")


def _switch(name: str, text: str) -> bool:
    words = {"on": True, "true": True, "yes": True, "off": False, "false": False, "no": False}
    if text.strip().lower() not in words:
        raise UnknownLimit(f"choice {name}: {text!r} is neither on nor off")
    return words[text.strip().lower()]


def _amount(name: str, text: str) -> float:
    try:
        amount = float(text)
    except ValueError as error:
        raise UnknownLimit(f"choice {name}: {text!r} is no number") from error
    if not 0 <= amount < float("inf"):
        raise UnknownLimit(f"choice {name}: {text!r} is no number from 0 on")
    return amount


_READERS: dict[str, Callable[[str, str], bool | float | str]] = {
    "bool": _switch,
    "int": lambda name, text: int(_amount(name, text)),
    "float": _amount,
    "str": lambda _, text: text,
}


def _duration(name: str, text: str) -> float:
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise UnknownLimit(f"limit {name}: {text!r} is no duration; write 20s, 5m, 2h or 500ms")
    return float(match[1]) * _SECONDS[match[2]]


def _number(name: str, text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise UnknownLimit(f"limit {name}: {text!r} is no whole number above 0")
    return int(text)
