"""An export by fiscal week, `FY2024-W07`, of a company whose year begins on the Monday nearest to the first of February
and whose quarters are of four, four and five weeks. Weeks become fiscal months: a custom period, which the destination
keeps apart from calendar months.

Settings: `{ "product": "Core", "first_month": 2 }`.
"""

import dataclasses
import re
from datetime import date, timedelta

from gristmill import Series, UsageMapper, decimal, integer

#: Weeks of the year's months. A year of 53 weeks has the last in its last month.
MONTHS = (4, 4, 5) * 4


@dataclasses.dataclass
class Settings:
    product: str = "Core"
    first_month: int = 2

    def __post_init__(self):
        if not 1 <= self.first_month <= 12:
            raise ValueError("`first_month` is 1 to 12")


def year_start(year, first_month):
    """The Monday nearest to the first day of the month that the fiscal year is named after."""
    first = date(year, first_month, 1)
    nearest = first + timedelta(days=3)
    return nearest - timedelta(days=nearest.weekday())


def week_start(year, week, first_month):
    """The Monday of a fiscal week; None where the year has no such week."""
    start = year_start(year, first_month) + timedelta(weeks=week - 1)
    return start if week >= 1 and start < year_start(year + 1, first_month) else None


def month_start(year, week, first_month):
    """The first day of the fiscal month that a week is in."""
    before = 0
    for weeks in MONTHS[:-1]:
        if week <= before + weeks:
            break
        before += weeks
    return year_start(year, first_month) + timedelta(weeks=before)


class ProductUsage(UsageMapper):
    columns = ["Account ID", "Week", "Sessions", "Revenue"]
    identifiers = "crm_id"
    settings_type = Settings

    def open(self):
        product = self.settings.product
        self.sessions = Series(product, "sessions", integer(), period="custom:fiscal-month")
        self.revenue = Series(product, "revenue", decimal(2), period="custom:fiscal-month", unit="EUR")

    def map(self, row):
        cell = row["Week"]
        found = re.fullmatch(r"FY([0-9]{4})-W([0-9]{2})", cell.text.strip())
        year, week = map(int, found.groups()) if found else (1, 0)
        day = week_start(year, week, self.settings.first_month)
        if day is None:
            cell.fail("bad_fiscal_week", "is not a week of the fiscal calendar")
        account = row["Account ID"].trimmed()
        month = month_start(year, week, self.settings.first_month)
        row.usage(self.sessions, account, day, row["Sessions"].integer(group=","), period_start=month)
        row.usage(self.revenue, account, day, row["Revenue"].decimal(2, group=","), period_start=month)
