"""The truths planted in the simulated product, each with its exact size.

Every number is computed from the parameters of `model` by the finite sums of `expectation`; none is estimated from
events. A new truth is one more function in `_PLANTED`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import numpy as np

from upswing.demo.expectation import Array, Expectation, account_mix
from upswing.demo.model import INVITED, MODEL, Model

Unit = Literal["difference", "change", "number"]


@dataclass(frozen=True, slots=True)
class Truth:
    """One planted truth.

    Args:
        name: its id.
        en: what is true, in English.
        zh: the same in Chinese.
        effect: its true size; 0 where the truth is that nothing happens.
        unit: `difference` of two rates (0.1 is 10 points), relative `change`, or `number` per account.
        by: the true values behind the effect, by group or condition.
        where: property or event → value on which it acts.
        start: first moment, None from the beginning.
        end: first moment after it, None until the end.
    """

    name: str
    en: str
    zh: str
    effect: float
    unit: Unit
    by: Mapping[str, float]
    where: Mapping[str, str] = field(default_factory=dict)
    start: datetime | None = None
    end: datetime | None = None


def truths(model: Model = MODEL) -> tuple[Truth, ...]:
    """All planted truths of a model.

    Examples:
        >>> [truth.name for truth in truths()][:3]
        ['broken_step', 'aha_entries', 'decoy_report']
    """
    return tuple(plant(model) for plant in _PLANTED)


def truth(name: str, *, model: Model = MODEL) -> Truth:
    """One planted truth by name.

    Raises:
        KeyError: there is none of this name.

    Examples:
        >>> truth("decoy_report").effect
        0.0
    """
    return {t.name: t for t in truths(model)}[name]


def _broken_step(model: Model) -> Truth:
    usual = Expectation(model).verification()
    broken = usual * model.broken_factor
    return Truth(
        name="broken_step",
        en=f"On {model.broken_platform} {model.broken_version}, {broken:.1%} of the sign-ups pass phone verification; "
        f"everywhere else {usual:.1%} do.",
        zh=f"{model.broken_platform} {model.broken_version} 上，开始注册的用户只有 {broken:.1%} 通过手机验证；"
        f"其他地方为 {usual:.1%}。",
        effect=broken - usual,
        unit="difference",
        by={"broken": broken, "elsewhere": usual},
        where={"event": "phone_verified", "platform": model.broken_platform, "app_version": model.broken_version},
        start=model.releases[-1],
    )


def _aha_entries(model: Model) -> Truth:
    expectation = Expectation(model)
    push = expectation.push_share()
    gain = expectation.retention(habit=True, push=push) - expectation.retention(habit=False, push=push)
    effect = model.aha_effect * gain
    raw = expectation.contrast_entries(_usual_desire(model))
    return Truth(
        name="aha_entries",
        en=f"{model.aha_entries} entries in the first 48 hours of an account cause {effect * 100:.1f} points more "
        f"week-4 retention, for everyone alike; fewer do nothing. The raw difference, {raw.difference * 100:.1f} "
        "points, is larger because eager users also write more.",
        zh=f"注册后 48 小时内记满 {model.aha_entries} 笔账，使第 4 周留存提高 {effect * 100:.1f} 个百分点，"
        f"对所有人相同；不足则无作用。直接比较相差 {raw.difference * 100:.1f} 个百分点，偏大，"
        "因为意愿强的用户本来就记得多。",
        effect=effect,
        unit="difference",
        by={"shown": raw.shown, "not_shown": raw.not_shown, "raw": raw.difference},
        where={"event": "entry_created"},
    )


def _decoy_report(model: Model) -> Truth:
    raw = Expectation(model).contrast_report(_usual_desire(model))
    return Truth(
        name="decoy_report",
        en=f"Viewing a report in the first 48 hours goes with {raw.difference * 100:.1f} points more week-4 "
        "retention and causes none of it: both come from how often the user opens the app. Among users with the same "
        "number of openings the difference is zero.",
        zh=f"48 小时内看过报表的用户，第 4 周留存高 {raw.difference * 100:.1f} 个百分点，但这不是报表的作用："
        "两者都来自打开应用的次数。打开次数相同的用户之间没有差别。",
        effect=0.0,
        unit="difference",
        by={"shown": raw.shown, "not_shown": raw.not_shown, "raw": raw.difference},
        where={"event": "report_viewed"},
    )


def _quadrants(model: Model) -> Truth:
    rates = Expectation(model).activation_from_install()
    words = ("low", "high")
    by = {f"{words[d]}_desire_{words[f]}_friction": float(rates[d, f]) for d in (1, 0) for f in (0, 1)}
    return Truth(
        name="quadrants",
        en="Desire and friction order activation (an account with a first entry within 48 hours, per install): "
        f"{rates[1, 0]:.1%} with high desire and low friction, {rates[1, 1]:.1%} high and high, "
        f"{rates[0, 0]:.1%} low and low, {rates[0, 1]:.1%} with low desire and high friction.",
        zh=f"欲望与摩擦决定激活（安装后建立账户并在 48 小时内记第一笔账）：高欲望低摩擦 {rates[1, 0]:.1%}，"
        f"高欲望高摩擦 {rates[1, 1]:.1%}，低欲望低摩擦 {rates[0, 0]:.1%}，低欲望高摩擦 {rates[0, 1]:.1%}。",
        effect=float(rates[1, 0] - rates[0, 1]),
        unit="difference",
        by=by,
    )


def _no_trigger(model: Model) -> Truth:
    expectation = Expectation(model)
    with_push, without = (expectation.openings_per_day(push=p) for p in (1.0, 0.0))
    habit = expectation.habit_share(_usual_desire(model))
    retained = {p: expectation.retention_of(habit, push=p) for p in (1.0, 0.0)}
    effect = with_push / without - 1
    return Truth(
        name="no_trigger",
        en="Users without push permission want and can as much as the others and are only not reminded: with "
        f"permission they would open the app {effect:.0%} more often after the first 48 hours.",
        zh=f"没有开启推送的用户，动机和能力与其他人相同，只是没有被提醒："
        f"若开启推送，48 小时之后打开应用的次数会多 {effect:.0%}。",
        effect=effect,
        unit="change",
        by={
            "openings_per_day_with": with_push,
            "openings_per_day_without": without,
            "week_4_with": retained[1.0],
            "week_4_without": retained[0.0],
        },
        where={"push_enabled": "false"},
    )


def _poor_channel(model: Model) -> Truth:
    expectation = Expectation(model)
    by = {c: expectation.retention_of(expectation.habit_share(expectation.desire(c))) for c in model.channels}
    mix = {c: share for c, share in account_mix(model).items() if c != model.shift_channel}
    others = sum(share * by[c] for c, share in mix.items()) / sum(mix.values())
    poor = by[model.shift_channel]
    return Truth(
        name="poor_channel",
        en=f"{model.shift_channel} brings users of low desire: {poor:.1%} of its accounts are active in week 4, "
        f"{others:.1%} in the other channels.",
        zh=f"{model.shift_channel} 带来的用户欲望低：其账户第 4 周留存为 {poor:.1%}，其他渠道为 {others:.1%}。",
        effect=poor - others,
        unit="difference",
        by=by,
        where={"channel": model.shift_channel},
    )


def _mix_shift(model: Model) -> Truth:
    expectation = Expectation(model)
    rate = {c: float(expectation.desire(c) @ expectation.activation() @ expectation.friction()) for c in model.channels}
    before = sum(share * rate[c] for c, share in account_mix(model).items())
    during = sum(share * rate[c] for c, share in account_mix(model, shifted=True).items())
    return Truth(
        name="mix_shift",
        en=f"From {model.shift_start:%Y-%m-%d} on, activation (first entry within 48 hours, per account) falls from "
        f"{before:.1%} to {during:.1%} although no channel's own rate moves: {model.shift_channel} brings "
        f"{model.shift_factor:g} times its usual volume. All of the change is mix.",
        zh=f"自 {model.shift_start:%Y-%m-%d} 起，激活率（账户建立后 48 小时内记第一笔账）由 {before:.1%} 降到 "
        f"{during:.1%}，而各渠道自身的激活率都没有变：{model.shift_channel} 的量变为平时的 "
        f"{model.shift_factor:g} 倍。变化全部来自结构。",
        effect=during - before,
        unit="difference",
        by={"before": before, "during": during, **rate},
        where={"channel": model.shift_channel},
        start=model.shift_start,
    )


def _tracking_break(model: Model) -> Truth:
    days = (model.untracked_until - model.untracked_from).days
    return Truth(
        name="tracking_break",
        en=f"For {days} days from {model.untracked_from:%Y-%m-%d}, {model.untracked_platform} sends no "
        f"{model.untracked_event}; the users do what they always do, as the events after it show.",
        zh=f"自 {model.untracked_from:%Y-%m-%d} 起 {days} 天，{model.untracked_platform} 没有上报 "
        f"{model.untracked_event}；用户行为没有变化，后续事件可以证明。",
        effect=0.0,
        unit="difference",
        by={"events": 0.0},
        where={"event": model.untracked_event, "platform": model.untracked_platform},
        start=model.untracked_from,
        end=model.untracked_until,
    )


def _referral(model: Model) -> Truth:
    expectation = Expectation(model)
    per_day = expectation.openings_per_day(push=expectation.push_share()) * model.invites * model.accepts

    def k_factor(desire: Array) -> float:
        return per_day * expectation.living_days(expectation.habit_share(desire), until=28)

    effect = k_factor(_usual_desire(model))
    return Truth(
        name="referral",
        en=f"An account brings {effect:.3f} new installs by the invitations of its first 28 days (K); "
        f"{model.accepts:.0%} of the invitations are accepted.",
        zh=f"每个账户前 28 天发出的邀请带来 {effect:.3f} 个新安装（K 值）；邀请的接受率为 {model.accepts:.0%}。",
        effect=effect,
        unit="number",
        by={"accepts": model.accepts, **{c: k_factor(expectation.desire(c)) for c in model.channels}},
        where={"event": "invitation_sent", "channel": INVITED},
    )


def _usual_desire(model: Model) -> Array:
    """Distribution of desire among the accounts nobody invited, in usual weeks."""
    expectation = Expectation(model)
    parts = [share * expectation.desire(c) for c, share in account_mix(model).items()]
    total: Array = np.sum(parts, axis=0)
    return total


_PLANTED: Final[tuple[Callable[[Model], Truth], ...]] = (
    _broken_step,
    _aha_entries,
    _decoy_report,
    _quadrants,
    _no_trigger,
    _poor_channel,
    _mix_shift,
    _tracking_break,
    _referral,
)
