"""What the people of the demo's product have written down: a journey with what users said, hypotheses, initiatives.

Their sentences are in one language, as a team's are: the one in which the demo is made. Every note and every outcome is
made up like the events are.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from typing import Final

from upswing.diagnose.evidence import COLUMNS
from upswing.diagnose.evidence import FILE as NOTES_FILE

Say = Callable[[str, str], str]
"""Chooses between the English and the Chinese words."""
WEEKS: Final = 26
"""Length of the demo's log."""


def papers(locale: str, *, users: int, today: date) -> dict[str, dict[str, object]]:
    """Definitions that hold people's own words: path → body.

    Args:
        locale: ``en`` or ``zh-CN``, the language of their sentences.
        users: about how many install the app; the reach of hypotheses follows from it.
        today: initiatives stand where they stand today; a board of last spring would be overdue throughout.
    """

    def say(en: str, zh: str) -> str:
        return zh if locale == "zh-CN" else en

    weekly = max(10, users // WEEKS)
    made: dict[str, dict[str, object]] = {"journeys/first_month.yml": _journey(say)}
    for name, body in (*_open_hypotheses(say, weekly), *_decided_hypotheses(say, weekly)):
        made[f"hypotheses/{name}.yml"] = {"kind": "hypothesis", "name": name, **body}
    for name, body in _initiatives(say, today):
        made[f"initiatives/{name}.yml"] = {"kind": "initiative", "name": name, **body}
    return made


def notes(locale: str, *, seed: int) -> tuple[str, str]:
    """Path and text of what users said: scores of three surveys, and tickets that only their words put into a stage."""
    rolled = random.Random(seed)  # noqa: S311 - made-up scores, nothing to guess
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [c for c in COLUMNS if c != "id"]
    writer.writerow(columns)
    for survey, mean, said in _SAID:
        for i in range(60):
            score = min(5, max(1, round(rolled.gauss(mean, 0.9)))) if survey != "tickets" else None
            words = said[i][locale == "zh-CN"] if i < len(said) else ""
            if score is None and not words:
                break
            row = {
                "noted": f"2026-{4 + i % 3:02d}-{1 + i % 28:02d}", "source": survey, "user": f"{survey}-{i + 1}",
                "score": score, "text": words,
            }  # fmt: skip
            writer.writerow([row.get(c, "") if row.get(c) is not None else "" for c in columns])
    return NOTES_FILE, out.getvalue()


_SAID: Final[tuple[tuple[str, float, tuple[tuple[str, str], ...]], ...]] = (
    ("survey_welcome", 3.9, (
        ("Looks tidy, I understood at once what it is for.", "界面清爽，一看就知道是做什么的。"),
        ("I would like to see it with an example first.", "想先看一个示例。"),
    )),
    ("survey_sign_up", 2.3, (
        ("The code came after two minutes, and it was too old by then.", "验证码两分钟才到，已经过期了。"),
        ("Asked for it three times.", "点了三次才收到。"),
        ("Why does a notebook need my number?", "记账为什么要手机号？"),
    )),
    ("survey_first_entry", 3.4, (
        ("Entering lunch took a moment only.", "记一顿午饭很快。"),
        ("I forget it by the evening.", "到晚上就忘了记。"),
        ("Too many categories.", "分类太多。"),
    )),
    ("tickets", 0, (
        ("No verification code on my phone since this morning", "今天早上起一直收不到验证码"),
        ("The code is rejected although it is right", "验证码明明没错却提示不对"),
        ("How do I export the monthly report?", "怎么导出月报表？"),
        ("Premium was charged twice", "会员被扣了两次费"),
    )),
)  # fmt: skip
"""Source, mean of its scores from 1 to 5, and what some wrote, in English and in Chinese."""


def _journey(say: Say) -> dict[str, object]:
    def one(name: str, en: str, zh: str, event: str, **rest: object) -> dict[str, object]:
        return {"name": name, "label": {"en": en, "zh": zh}, "enters": {"event": event}, **rest}

    return {
        "kind": "journey", "name": "first_month", "label": {"en": "The first month", "zh": "第一个月"},
        "persona": {
            "name": say("The careful beginner", "想管好钱的新手"),
            "text": say("First own income, wants to know where it goes.", "刚有自己的收入，想知道钱花在哪里。"),
        },
        "window": "30d",
        "stages": [
            one("welcome", "Welcome", "初见", "app_installed",
                touchpoints=[say("app store page", "应用商店页面"), say("welcome pages", "欢迎页")],
                does=say("Looks round and chooses a goal", "四处看看，选一个目标"),
                thinks=say("Will this be work?", "会不会很麻烦？"), feels=[{"survey": "survey_welcome"}]),
            one("sign_up", "Sign-up", "注册", "signup_started",
                touchpoints=[say("phone number", "手机号"), say("text message", "短信")],
                does=say("Waits for the code", "等验证码"), thinks=say("Where is it?", "怎么还不来？"),
                feels=[{"survey": "survey_sign_up"}], tags=["code", "验证码"],
                pains=[say("the code comes late or not at all", "验证码来得晚或收不到")],
                ideas=[{"text": say("read the code from the message", "从短信自动读取验证码"), "hypothesis": "code_autofill"}],
                target=0.9),
            one("first_entry", "First entry", "第一笔账", "account_created",
                touchpoints=[say("entry form", "记账页")], does=say("Books something small", "记一笔小开销"),
                thinks=say("Was that all?", "这就好了？"), feels=[{"survey": "survey_first_entry"}],
                ideas=[{"text": say("offer three usual entries", "给出三笔常见的账"), "hypothesis": "usual_entries"}]),
            one("report", "First report", "第一份报表", "report_viewed", touchpoints=[say("report", "报表")],
                does=say("Looks where the money went", "看钱花在哪里"), tags=["report", "报表"]),
        ],
    }  # fmt: skip


def _open_hypotheses(say: Say, weekly: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    yield "code_autofill", {
        "label": {"en": "Read the code by itself", "zh": "自动读取验证码"}, "owner": "activation",
        "state": say("I want to begin, and the code does not come", "我想开始，验证码却不来"),
        "trace": say("On Android fewer pass from sign-up to a verified number than elsewhere, and more ask for the code again",
                     "安卓上从注册到手机验证的通过率低于其他平台，重发验证码的更多"),
        "lever": say("Read the code from the message, and resend it by another route after 20 seconds",
                     "自动读取短信中的验证码，20秒后换通道重发"),
        "metric": "activation_rate", "segment": "on_android",
        "forecast": {"low": 0.03, "likely": 0.09, "high": 0.16, "by": "activation", "source": "growth_point"},
        "confidence": 0.8, "reach": round(weekly * 0.3), "cost": 8, "worth": 12, "impact": 8, "ease": 6, "stage": "ready",
        "created": "2026-05-20",
    }  # fmt: skip
    yield "usual_entries", {
        "label": {"en": "Three usual entries to begin with", "zh": "从三笔常见的账开始"}, "owner": "activation",
        "state": say("I do not know what to write down first", "不知道先记什么"),
        "trace": say("Who books three entries in the first two days is there four weeks later far more often",
                     "前两天记满三笔账的人，四周后还在的比例高得多"),
        "lever": say("Offer breakfast, transport and rent as entries to confirm", "给出早餐、交通、房租三笔账，确认即可"),
        "metric": "activation_rate",
        "forecast": {"low": 0.01, "likely": 0.05, "high": 0.1, "by": "activation", "source": "growth_point"},
        "confidence": 0.6, "reach": weekly, "cost": 12, "worth": 12, "impact": 7, "ease": 4, "stage": "idea",
        "created": "2026-06-02",
    }  # fmt: skip
    yield "ask_push_later", {
        "label": {"en": "Ask for reminders after the first entry", "zh": "记完第一笔账再请求推送"}, "owner": "engagement",
        "state": say("I meant to book it and forgot", "本来想记，忘了"),
        "trace": say("Users without push permission open the app less, with the same motivation and ability",
                     "没有推送权限的用户打开得更少，动机和能力却一样"),
        "lever": say("Ask for permission right after the first entry, with the hour to choose",
                     "记完第一笔账时请求权限，并可选提醒时间"),
        "metric": "booking_share",
        "forecast": {"low": -0.01, "likely": 0.03, "high": 0.08, "by": "engagement", "source": "judgement"},
        "confidence": 0.5, "reach": round(weekly * 0.6), "cost": 3, "worth": 5, "impact": 5, "ease": 9,
        "stage": "idea", "created": "2026-06-10",
    }  # fmt: skip


def _decided_hypotheses(say: Say, weekly: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Three points of the forecast; effect and its standard error; who; what was decided."""
    for name, en, zh, forecast, found, by, decision, day in (
        ("skip_tour", "A tour that can be skipped", "可跳过的引导", (0.01, 0.04, 0.08), (0.031, 0.012), "activation",
         "ship", "2026-03-02"),
        ("price_earlier", "Show the price earlier", "更早展示价格", (-0.01, 0.05, 0.12), (0.008, 0.015), "commerce",
         "drop", "2026-03-16"),
        ("evening_reminder", "A reminder in the evening", "晚间提醒", (0.01, 0.05, 0.1), (0.047, 0.013), "engagement",
         "ship", "2026-04-06"),
        ("shorter_form", "A shorter sign-up form", "更短的注册表单", (0.0, 0.03, 0.07), (0.022, 0.011), "activation",
         "ship", "2026-04-20"),
        ("invite_first_day", "Ask for an invitation on the first day", "第一天就邀请好友", (0.02, 0.06, 0.12),
         (-0.004, 0.014), "activation", "drop", "2026-05-04"),
        ("calmer_colours", "Calmer colours", "更柔和的配色", (0.0, 0.02, 0.05), (0.003, 0.01), "activation", "drop",
         "2026-05-18"),
    ):  # fmt: skip
        low, likely, high = forecast
        effect, se = found
        yield name, {
            "label": {"en": en, "zh": zh}, "owner": by,
            "state": say("Something holds me back", "有顾虑"),
            "trace": say("A low rate of passing there", "该处的通过率低"),
            "lever": say(en, zh), "metric": "activation_rate",
            "forecast": {"low": low, "likely": likely, "high": high, "by": by, "source": "judgement"},
            "reach": weekly, "cost": 5, "stage": "shipped" if decision == "ship" else "dropped",
            "outcome": {"effect": effect, "se": se, "decided": day, "decision": decision},
        }  # fmt: skip


def _initiatives(say: Say, today: date) -> Iterator[tuple[str, Mapping[str, object]]]:
    def day(ahead: int) -> str:
        return (today + timedelta(days=ahead)).isoformat()

    yield "easy_start", {
        "label": {"en": "An easy start", "zh": "轻松开始"}, "owner": "activation", "stage": "test",
        "history": [{"stage": "idea", "since": day(-80)}, {"stage": "research", "since": day(-66)},
                    {"stage": "plan", "since": day(-52)}, {"stage": "build", "since": day(-31)},
                    {"stage": "test", "since": day(-3)}],
        "due": day(11), "next_step": say("Start the experiment on Android", "在安卓上启动实验"),
        "notes": [{"text": say("Two competitors read the code by themselves", "两家竞品会自动读取验证码"),
                   "about": "competitor", "noted": day(-64)}],
        "documents": [{"title": say("Plan", "方案"), "link": "documents/easy_start.md", "stage": "plan"}],
        "decisions": [{"text": say("Android first", "先做安卓"), "by": "activation", "decided": day(-49),
                       "because": say("the gap is widest there", "那里的差距最大")}],
        "hypotheses": ["code_autofill", "usual_entries"], "metrics": ["activation_rate"],
    }  # fmt: skip
    yield "reminders", {
        "label": {"en": "Reminders people want", "zh": "受欢迎的提醒"}, "owner": "engagement", "stage": "plan",
        "history": [{"stage": "idea", "since": day(-24)}, {"stage": "plan", "since": day(-10)}],
        "due": day(-2),
        "next_step": say("Agree on the hour", "确定提醒时间"), "hypotheses": ["ask_push_later", "evening_reminder"],
        "metrics": ["weekly_bookkeepers"],
    }  # fmt: skip
    yield "monthly_report", {
        "label": {"en": "The monthly report", "zh": "月度报表"}, "owner": "commerce", "stage": "iterate",
        "history": [{"stage": "launch", "since": day(-129)}, {"stage": "iterate", "since": day(-87)}],
        "next_step": say("Export as a table", "导出为表格"), "metrics": ["payers"],
    }  # fmt: skip
