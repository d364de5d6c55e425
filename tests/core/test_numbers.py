import json
from datetime import date
from pathlib import Path

import pytest

from upswing.core.numbers import format_compact, format_date, format_money, format_value

GOLDEN = json.loads((Path(__file__).parent / "numbers.json").read_text(encoding="utf-8"))
LOCALES = ("en", "zh-CN")


@pytest.mark.parametrize("row", GOLDEN["compact"])
def test_headline_numbers(row):
    assert [format_compact(row[0], locale=x) for x in LOCALES] == row[1:]


@pytest.mark.parametrize("row", GOLDEN["value"])
def test_values_by_unit(row):
    assert [format_value(row[0], row[1], locale=x) for x in LOCALES] == row[2:]


@pytest.mark.parametrize("row", GOLDEN["money"])
def test_money(row):
    assert [format_money(row[0], row[1], single=row[2], locale=x) for x in LOCALES] == row[3:]


@pytest.mark.parametrize("row", GOLDEN["date"])
def test_dates(row):
    assert [format_date(date.fromisoformat(row[0]), locale=x) for x in LOCALES] == row[1:]
