import unittest
from datetime import date
from decimal import Decimal

from gristmill.testing import Rehearsal
from mapper import ProductUsage, month_start, week_start

HEADER = ["Account ID", "Week", "Sessions", "Revenue"]


class FiscalCalendar(unittest.TestCase):
    def test_years_begin_on_the_nearest_monday(self):
        self.assertEqual(week_start(2024, 1, 2), date(2024, 1, 29))
        self.assertEqual(week_start(2023, 1, 2), date(2023, 1, 30))

    def test_only_some_years_have_53_weeks(self):
        self.assertEqual(week_start(2023, 52, 2), date(2024, 1, 22))
        self.assertIsNone(week_start(2023, 53, 2))
        self.assertEqual(week_start(2024, 53, 2), date(2025, 1, 27))

    def test_months_are_of_four_four_and_five_weeks(self):
        starts = [month_start(2024, week, 2) for week in (4, 5, 9, 13, 14, 53)]
        weeks = [(start - date(2024, 1, 29)).days // 7 for start in starts]
        self.assertEqual(weeks, [0, 4, 8, 8, 13, 47])


class Rows(unittest.TestCase):
    def test_a_week_counts_for_its_fiscal_month(self):
        found = Rehearsal(ProductUsage, HEADER, [["1", "FY2024-W06", "1,200", ""], ["2", "W6", "1", "2"]])
        self.assertEqual(
            found.usage, [(0, ("1",), None, date(2024, 3, 4), date(2024, 2, 26), "Core", "sessions", 1200)]
        )
        message = "`W6` is not a week of the fiscal calendar"
        self.assertEqual(found.issues, [(1, "Week", True, "bad_fiscal_week", message)])

    def test_settings_name_the_product_and_the_first_month(self):
        settings = {"product": "Suite", "first_month": 7}
        found = Rehearsal(ProductUsage, HEADER, [["1", "FY2024-W01", "", "0.50"]], settings)
        day = date(2024, 7, 1)
        self.assertEqual(found.usage, [(0, ("1",), None, day, day, "Suite", "revenue", Decimal("0.50"))])


if __name__ == "__main__":
    unittest.main()
