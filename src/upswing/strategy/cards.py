"""Strategy cards: what to do for each quadrant of new users, to start from; a definition's own text replaces them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from upswing.core.i18n import Text, current_locale, text
from upswing.spec.base import Label
from upswing.spec.quadrants import QuadrantName

QUADRANT_NAMES: Final[Mapping[QuadrantName, Text]] = {
    "high_low": text("high desire, low friction"),
    "high_high": text("high desire, high friction"),
    "low_low": text("low desire, low friction"),
    "low_high": text("low desire, high friction"),
}
CARDS: Final[Mapping[QuadrantName, Label]] = {
    "high_low": Label(
        en="They come by themselves. Keep out of the way, lead them straight to the aha behaviour, and ask for an "
        "invitation or a first payment early.",
        zh="他们会自己完成。不要打扰，直接引导到aha行为，并尽早引导邀请或首次付费。",
    ),
    "high_high": Label(
        en="They want to and cannot. Remove steps and fields, repair errors and waits, guide at the step where they stop, "
        "offer help by a person. The best place for the next change.",
        zh="想用但用不起来。减少步骤和必填项，修复报错和等待，在卡住的步骤给予引导，必要时人工帮助。下一次改动最值得放在这里。",
    ),
    "low_low": Label(
        en="They could and see no reason. Show the value before asking for anything: an example, a finished result, what "
        "others like them got; a small gift for the first try.",
        zh="能用但没有理由用。先展示价值再提要求：示例、成品、同类用户的收获；首次尝试给小激励。",
    ),
    "low_high": Label(
        en="They hardly want to and hardly can. Do not spend on them: change whom the channel brings, and come back when "
        "friction is gone for the others.",
        zh="不太想用也很难用。不要在此投入：先调整渠道人群，等其他用户的摩擦解决后再看。",
    ),
}


def card(name: QuadrantName, own: Mapping[QuadrantName, Label]) -> str:
    """The strategy of a quadrant in the language in force."""
    label = own.get(name, CARDS[name])
    first, second = (label.zh, label.en) if current_locale() == "zh-CN" else (label.en, label.zh)
    return first or second or ""
