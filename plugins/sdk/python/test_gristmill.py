import dataclasses
import unittest
from datetime import date, datetime, timezone
from decimal import Decimal
from types import SimpleNamespace

import gristmill
from gristmill import Cell, Fault, Series, Unreadable
from gristmill.columns import Text, bitmap

SOURCE = SimpleNamespace(key="a.csv", today=date(2024, 10, 15))


def columns(*rows, typed=None):
    """The columns of a batch as the host hands them over."""
    return [(Text.of(list(cells)), typed) for cells in zip(*rows)]


class Cells(unittest.TestCase):
    def check(self, text, read, expected):
        self.assertEqual(read(Cell(text)), expected, text)

    def wrong(self, text, read, code):
        with self.assertRaises(Unreadable, msg=text) as caught:
            read(Cell(text, column=3))
        self.assertEqual((caught.exception.code, caught.exception.column), (code, 3))

    def test_nothing_is_guessed(self):
        german = {"point": ",", "group": "."}
        self.check("", Cell.decimal, None)
        self.check(" 1.50 ", Cell.decimal, Decimal("1.50"))
        self.check("-1.234,50", lambda cell: cell.decimal(**german), Decimal("-1234.50"))
        self.wrong("1.23,4", lambda cell: cell.decimal(**german), "not_a_number")
        self.wrong("1,5.0", lambda cell: cell.decimal(**german), "not_a_number")
        self.wrong("1,5", Cell.decimal, "not_a_number")
        self.wrong("1_000", Cell.decimal, "not_a_number")
        self.wrong("NaN", Cell.number, "not_a_number")
        self.wrong("١", Cell.decimal, "not_a_number")
        self.check("12.500", lambda cell: cell.decimal(2), Decimal("12.5"))
        self.check("0.000", lambda cell: cell.decimal(2), Decimal(0))
        self.wrong("1e999999999", lambda cell: cell.decimal(2), "out_of_range")
        self.wrong("0." + "0" * 40 + "1", lambda cell: cell.decimal(2), "too_many_decimals")
        self.wrong("12.345", lambda cell: cell.decimal(2), "too_many_decimals")
        self.check("2.5", Cell.number, 2.5)
        self.check("1e3", Cell.integer, 1000)
        self.wrong("1e999999999", Cell.integer, "not_an_integer")
        self.wrong("7.5", Cell.integer, "not_an_integer")
        self.check("Ja", lambda cell: cell.boolean(yes=["ja"], no=["nein"]), True)
        self.wrong("maybe", Cell.boolean, "not_a_boolean")
        self.check("2024-10-15", Cell.date, date(2024, 10, 15))
        self.check("5.1.2024", lambda cell: cell.date("%d.%m.%Y"), date(2024, 1, 5))
        self.wrong("31.02.2024", lambda cell: cell.date("%d.%m.%Y"), "bad_date")
        self.wrong("2024-10-15T00:00", Cell.date, "bad_date")
        self.check('{"a": [1]}', Cell.json, {"a": [1]})
        self.wrong("{", Cell.json, "not_json")

    def test_formats_do_not_apply_to_what_a_workbook_typed(self):
        self.assertEqual(Cell("2024-10-15T08:00:00", True).date("%d.%m.%Y"), date(2024, 10, 15))
        self.assertEqual(Cell("1234.56", True).decimal(2, ",", "."), Decimal("1234.56"))

    def test_text_survives_both_ways(self):
        for strings in (["", "a", "bc"], ["Ünïcödé", "", "日本", "🦀"], []):
            self.assertEqual(Text.of(strings).strings(), strings)
        self.assertEqual(bitmap([True, False] * 5), bytes([0b01010101, 0b01]))

    def test_a_value_without_a_date_rejects_its_row(self):
        kind = type(
            "Usage",
            (gristmill.UsageMapper,),
            {
                "identifiers": "id",
                "map": lambda self, row: row.usage(Series("P", "m", gristmill.integer()), "1", row["Day"].date(), 1),
            },
        )
        issues = kind.begin(SOURCE, ["Day"], "").map_batch(0, 1, columns(("",)))[7]
        self.assertEqual((issues[0], issues[3].strings()), ([0], ["no_date"]))

    def test_periods_begin_where_they_should(self):
        starts = [
            gristmill.start_of(period, date(2024, 11, 14))
            for period in ("daily", "weekly", "monthly", "quarterly", "yearly")
        ]
        self.assertEqual(
            starts, [date(2024, 11, 14), date(2024, 11, 11), date(2024, 11, 1), date(2024, 10, 1), date(2024, 1, 1)]
        )


@dataclasses.dataclass
class Settings:
    tier: str
    factor: float = 1.0

    def __post_init__(self):
        if self.factor <= 0:
            raise ValueError("`factor` is above zero")


class FieldMapping(gristmill.FieldMapper):
    columns = ["Id", "ARR"]
    optional = ["Since"]
    identifiers = ["crm_id", ["name", "field:region"]]
    fields = {
        "arr": gristmill.decimal(2, semantic="currency", unit="EUR"),
        "tier": gristmill.text(),
        "tags": gristmill.text_list(write="append"),
        "seen": gristmill.timestamp(),
    }
    settings_type = Settings

    def map(self, row):
        arr = row["ARR"].decimal(2)
        if arr < 0:
            row.warn("negative", "ARR is below zero", "ARR")
        tier = gristmill.CLEAR if arr == 0 else self.settings.tier
        row.account(
            [row["Id"].text, "", None], {"arr": arr, "tier": tier, "tags": ["a", "b"], "seen": row["Since"].date()}
        )


class Accounts(unittest.TestCase):
    def test_settings_become_the_authors_type(self):
        def check(text, *expected):
            self.assertEqual([fault.message for fault in FieldMapping.check(text)], list(expected))

        check('{"tier": "basic", "factor": 2}')
        check('{"tier": 1, "else": 2}', "there is no setting `else`", "the setting `tier` is not of the type str")
        check("null", "the setting `tier` is missing")
        check('{"tier": "basic", "factor": 0}', "`factor` is above zero")

    def test_rows_become_columns_and_what_does_not_read_is_rejected(self):
        with self.assertRaises(Fault) as caught:
            FieldMapping.begin(SOURCE, ["Id"], '{"tier": "basic"}')
        self.assertEqual(caught.exception.message, "the table has no column `ARR`")
        table = FieldMapping.begin(SOURCE, ["ARR", "Else", "Id"], '{"tier": "basic"}')
        self.assertEqual((table.wanted, table.strategies), ([2, 0], [["crm_id"], ["name", "field:region"]]))
        rows, identifiers, fields, issues = table.map_batch(
            7, 4, columns(("1", "12.5"), ("2", "x"), ("3", "0"), ("4", "-1"))
        )
        self.assertEqual(rows, [7, 9, 10])
        self.assertEqual(
            [(text.strings(), validity) for text, validity in identifiers],
            [(["1", "3", "4"], None), (["", "", ""], b"\0"), (["", "", ""], b"\0")],
        )
        (_, arr, _), (_, tier, clear), (_, tags, _), (_, seen, _) = fields
        self.assertEqual(arr, ([1250, 0, -100], None))
        self.assertEqual((tier[0].strings(), tier[1], clear), (["basic", "", "basic"], bytes([0b101]), bytes([0b010])))
        self.assertEqual((tags[0][0], tags[0][1].strings()), ([0, 2, 4, 6], ["a", "b"] * 3))
        self.assertEqual(seen, ([0, 0, 0], b"\0"))
        self.assertEqual(
            (issues[:3], issues[4].strings()),
            (([8, 10], [0, 0], bytes([0b01])), ["`x` is not a number", "ARR is below zero"]),
        )
        self.assertEqual(table.end_table()[0], [])

    def test_a_mapper_that_stumbles_names_its_row(self):
        def check(map_row, expected):
            kind = type(
                "Broken",
                (gristmill.FieldMapper,),
                {
                    "identifiers": "id",
                    "fields": {"a": gristmill.integer()},
                    "map": lambda self, row: map_row(row),
                },
            )
            table = kind.begin(SOURCE, ["Id"], "")
            with self.assertRaises(Fault) as caught:
                table.map_batch(5, 1, columns(("1",)))
                table.map_batch(6, 0, columns(("1",)))
            self.assertEqual(caught.exception.message, expected)

        check(lambda row: row.missing, "AttributeError: 'Row' object has no attribute 'missing'")
        check(lambda row: row.account("1", {"b": 1}), "KeyError: 'the layout has no field `b`'")
        check(lambda row: row.account(["1", "2"], {}), "TypeError: 2 identifiers are given for 1 keys")
        check(lambda row: row["Else"], "KeyError: '`Else` is not one of the columns that were asked for'")

    def test_values_are_of_their_fields_type(self):
        kinds = {
            "integer": (1.5, True, 2**63),
            "date": (datetime.now(timezone.utc), "2024-10-15"),
            "text": (1,),
            "boolean": (1,),
        }
        for tag, values in kinds.items():
            for value in values:
                with self.assertRaises(TypeError, msg=(tag, value)):
                    gristmill.Type(tag).column([value], "it")
        with self.assertRaises(ValueError):
            gristmill.decimal(2).column([Decimal("1.005")], "it")
        self.assertEqual(
            gristmill.timestamp().column([datetime(1970, 1, 2, tzinfo=timezone.utc)], "it"), ([86_400_000_000], None)
        )


class ProductUsage(gristmill.UsageMapper):
    columns = ["Id", "Day", "Logins", "Note"]
    identifiers = "crm_id"
    user = "email"

    def open(self):
        self.held = []

    def map(self, row):
        day = row["Day"].date()
        logins = Series("Core", "logins", gristmill.integer(), period="monthly", unit="logins")
        row.usage(logins, row["Id"].text, day, row["Logins"].integer(), user="ada@acme.example")
        note = Series("Core", "note", gristmill.text(), period="monthly", aggregate="last")
        row.usage(note, row["Id"].text, day, row["Note"].trimmed(), user="ada@acme.example")
        self.held.append(row)

    def finish(self):
        for row in self.held:
            rows = Series("Core", "rows", gristmill.integer(), period="custom:p")
            row.usage(rows, row["Id"].text, row["Day"].date(), 1, period_start=date(1970, 1, 1))


class Usage(unittest.TestCase):
    def test_each_series_is_announced_once_and_values_of_a_row_share_an_entry(self):
        table = ProductUsage.begin(SOURCE, ["Id", "Day", "Logins", "Note"], "")
        first = table.map_batch(0, 2, columns(("1", "2024-10-15", "3", "x"), ("2", "2024-10-16", "", "")))
        rows, identifiers, user, dates, starts, announced, blocks, _ = first
        self.assertEqual((rows, dates, starts), ([0], [20_011], [19_997]))
        self.assertEqual((identifiers[0][0].strings(), user[0].strings()), (["1"], ["ada@acme.example"]))
        self.assertEqual([series.metric for series in announced], ["logins", "note"])
        self.assertEqual([block[1:3] for block in blocks], [([0], [0]), ([0], [1])])
        second = table.map_batch(2, 1, columns(("1", "2024-11-15", "4", "")))
        self.assertEqual((second[5], second[6][0][2]), ([], [0]))
        last = table.end_table()
        self.assertEqual((last[0], last[4], last[6][0][2]), ([0, 1, 2], [0, 0, 0], [2, 2, 2]))


if __name__ == "__main__":
    unittest.main()
