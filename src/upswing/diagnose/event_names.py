"""What the name of an event gives away: a goal reached, something undone, a mishap, something done to the user.

Names are a hint and no more: they order proposals that a person is shown and asked to decide. English and Chinese words
are known; ``camelCase``, ``snake_case`` and phrases are read alike. Nothing is counted by a name alone.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_MISHAP: Final = re.compile(r"error|fail|crash|exception|(?<![a-z])bugs?(?![a-z])|错误|失败|报错|崩溃", re.IGNORECASE)
_PASSIVE: Final = re.compile(r"receiv|deliver|bounce|impression|收到|送达|曝光", re.IGNORECASE)
_UNDONE: Final = (
    r" refund| cancel| declin| reject| den(y|ied)| downgrad| unsub| uninstall| churn| delet| remov| logout| log out| sign ?out"
    r"| storno| abandon| expir| chargeback|退款|退货|取消|拒绝|驳回|卸载|注销|退出|删除|移除|降级|过期|退订|流失"
)
_GOALS: Final = (
    # money, or the promise of it
    r" pay(s|ed|ment|ments)? | paid | purchas| buy | bought | order(s|ed|ing)? | subscri| upgrad| deposit| donat| invoice| billed "
    r"| book(ing|ed)? | reserv| transaction| checkout |支付|付款|购买|下单|成交|订阅|充值|续费|预订|开通会员|投资|入金",
    # the promise of a relation
    r" activat| approv| accepted | contract| enrol| hired? | submit| applied |激活|开通|审批通过|放款|签约|报名|提交",
    # work done
    r" complet| finish| resolv| clos(e|ed|ing) | confirm| publish| graduat|完成|结束|解决|关闭|确认|发布|毕业",
)


def is_mishap(event: str) -> bool:
    """Something that goes wrong for users: an error, a crash, a bug.

    Examples:
        >>> [is_mishap(e) for e in ("payment_error", "checkout_bug", "debug_view")]
        [True, True, False]
    """
    return bool(_MISHAP.search(event))


def is_passive(event: str) -> bool:
    """Something done to users: a message received, an advertisement shown."""
    return bool(_PASSIVE.search(event))


def is_undone(event: str) -> bool:
    """A step back: refund, cancellation, downgrade, log-out.

    Examples:
        >>> [is_undone(e) for e in ("O_CANCELLED", "Submit Downgrade", "申请退款", "cart")]
        [True, True, True, False]
    """
    return bool(_compiled(_UNDONE).search(_words(event)))


def goal_rank(event: str) -> int | None:
    """How much a name sounds like what a product is for: 0 money, 1 a contract or an activation, 2 work done; else None.

    Examples:
        >>> [goal_rank(e) for e in ("payment_done", "orderPaid", "A_ACTIVATED", "Resolve ticket", "确认支付", "display", "NextSong")]
        [0, 0, 1, 2, 0, None, None]
        >>> goal_rank("payment_failed"), goal_rank("Cancel booking")
        (None, None)
    """
    if is_mishap(event) or is_passive(event) or is_undone(event):
        return None
    words = _words(event)
    return next((rank for rank, goal in enumerate(_GOALS) if _compiled(goal).search(words)), None)


def _words(event: str) -> str:
    """Lower-case words with one space around each."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", event)
    return " " + re.sub(r"[\W_]+", " ", parted).strip().lower() + " "


@lru_cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
