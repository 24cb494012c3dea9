"""Runs a mapper without a host: a whole table in one batch, and what came of it as plain values."""

import datetime
import json
from types import SimpleNamespace

from .columns import Text, is_set
from .days import start_of

_SOURCE = {
    "integration": "example",
    "connection": "example",
    "bucket": "exports",
    "key": "sample.csv",
    "etag": "0",
    "size": 0,
    "last_modified": datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc),
    "sheet": None,
    "timezone": "UTC",
    "today": datetime.date(1970, 1, 1),
}


class Rehearsal:
    """What came of a table: `accounts` and `usage`, of rows that were not rejected, and `issues`; all are tuples.

    `(row, identifiers, fields)` with the values as they were given · `(row, identifiers, user, date, period start,
    product, metric, value)` · `(row, column, is_reject, code, message)`
    """

    def __init__(self, mapper, header, rows, settings=None, **source):
        accounts, usage = self.accounts, self.usage = [], []

        class Observed(mapper):
            """The mapper, whose records are also kept as they are given."""

            def account(self, row, identifiers, values):
                super().account(row, identifiers, values)
                accounts.append((row, tuple(self.identify(identifiers)), values))

            def usage(self, row, series, identifiers, date, value, user, period_start):
                super().usage(row, series, identifiers, date, value, user, period_start)
                if value is not None:
                    start = start_of(series.period, date) if period_start is None else period_start
                    given = tuple(self.identify(identifiers))
                    usage.append((row, given, user, date, start, series.product, series.metric, value))

        table = Observed.begin(SimpleNamespace(**{**_SOURCE, **source}), header, json.dumps(settings or {}))
        columns = [(Text.of([row[index] for row in rows]), None) for index in table.wanted]
        self.issues = []
        for batch in (table.map_batch(0, len(rows), columns), table.end_table()):
            numbers, places, rejects, codes, messages = batch[-1]
            for issue, said in enumerate(zip(codes.strings(), messages.strings())):
                column = header[places[issue]] if places[issue] >= 0 else None
                self.issues.append((numbers[issue], column, is_set(rejects, issue), *said))
        rejected = {issue[0] for issue in self.issues if issue[2]}
        self.accounts = [record for record in accounts if record[0] not in rejected]
        self.usage = [record for record in usage if record[0] not in rejected]
