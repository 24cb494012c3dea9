import unittest
from datetime import date

from mapper import month_start, week_start


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


if __name__ == "__main__":
    unittest.main()
