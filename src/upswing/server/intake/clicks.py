"""Clicks on advertisements, as platforms report them: the click-monitoring link that they call for every click.

A platform replaces macros in the link (``__CLICK_ID__`` …) and calls it by GET, server to server. The names of the
parameters are the operator's; recommended are the macros' own names in lower case, which is what the columns are found
by. Clicks have no user, so they are a table of their own, ``ad_clicks``, beside the events.

Sources: Tencent Ads "点击监测链接", Ocean Engine "点击监测链接宏参数", Kuaishou "监测链接"; see docs/guide/connect.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from upswing.core.i18n import text
from upswing.server.intake.clock import flaw, read_moment
from upswing.server.intake.events import Click, Delivery, to_json
from upswing.server.intake.refusals import unreadable

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "account_id": ("account_id", "advertiser_id", "accountid"),
    "campaign_id": ("project_id", "campaign_id", "adgroup_id"),
    "ad_id": ("promotion_id", "ad_id", "aid", "adgroup_id"),
    "creative_id": ("dynamic_creative_id", "creative_id", "cid"),
    "site": ("site_set_name", "csite", "union_site"),
    "os": ("device_os_type", "os"),
    "imei": ("muid", "imei", "imei2", "imei_md5"),
    "idfa": ("idfa", "idfa_md5", "idfa2"),
    "oaid": ("oaid", "hash_oaid", "oaid_md5"),
    "android_id": ("hash_android_id", "androidid", "android_id"),
    "caid": ("caid", "caid_md5", "caid1"),
    "ip": ("ip", "ipv4", "ipv6"),
    "user_agent": ("user_agent", "ua"),
    "callback": ("callback", "callback_url", "callback_param"),
}
"""Column of ``ad_clicks`` → parameters that fill it, the first that is there."""

TABLE: Final = ", ".join(
    ["platform VARCHAR NOT NULL", "click_id VARCHAR NOT NULL", "time TIMESTAMP NOT NULL", "received TIMESTAMP NOT NULL"]
    + [f"{column} VARCHAR" for column in COLUMNS]
    + ["parameters VARCHAR NOT NULL"]
)
"""Columns of the table."""

_IDS: Final = ("click_id", "clickid", "request_id", "requestid", "req_id")
_TIMES: Final = ("click_time", "ts", "timestamp", "clicktime")
_PRIVATE: Final = frozenset(["key", "write_key"])
_MACRO: Final = re.compile(r"__\w+__")
_PLATFORM: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")


def take_click(platform: str, parameters: Mapping[str, str], delivery: Delivery) -> None:
    """One click from the parameters of its link.

    A macro that the platform left unreplaced counts as absent. Without an id of the click, repeats of the very same
    parameters are one click.

    Args:
        platform: the part of the path that names who reports, e.g. ``tencent``, ``ocean``, ``kuaishou``.
        parameters: of the query.
        delivery: where the click goes.

    Raises:
        BadRequestError: UP801 no platform, or nothing in the parameters says what was clicked.

    Examples:
        >>> delivery = Delivery(1_795_392_060_000_000)
        >>> take_click("tencent", {"click_id": "c1", "click_time": "1795392000", "muid": "__MUID__"}, delivery)
        >>> [(c.click_id, c.time, c.fields) for c in delivery.clicks]
        [('c1', 1795392000000000, {})]
    """
    if not _PLATFORM.fullmatch(platform):
        raise unreadable(text("'{platform}' is not the name of a platform", platform=platform[:40]))
    found = {
        key.lower()[:80]: value.strip()[:4096].replace("\x00", "")
        for key, value in parameters.items()
        if key.lower() not in _PRIVATE and value.strip() and not _MACRO.fullmatch(value.strip())
    }
    if not found:
        raise unreadable(text("no parameter of the link is filled"))
    written = _first(found, _TIMES)
    at = read_moment(written) if written is not None else delivery.received
    reason = "bad_time" if at is None else flaw(at, delivery.received, delivery.limits.ahead_seconds)
    if at is None or reason is not None:
        delivery.refuse(0, reason or "bad_time", written, found)
        return
    own = _first(found, _IDS) or hashlib.sha256(to_json(sorted(found.items())).encode("utf-8", "replace")).hexdigest()
    fields = {column: value for column, names in COLUMNS.items() if (value := _first(found, names)) is not None}
    delivery.click(Click(platform, own[:512], at, delivery.received, fields, found))


def _first(found: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((found[name] for name in names if name in found), None)
