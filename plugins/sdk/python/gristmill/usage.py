"""Product usage: usage records."""

from .cell import Unreadable
from .days import start_of, to_days
from .table import Table
from .values import identifier_column


class Series:
    """A product's metric, which `Row.usage` takes.

    `aggregate`: how values of one account and period become one. `period`: single, daily, weekly, monthly, quarterly,
    yearly, or `custom:NAME`. `repeat`: with `replace` the newest object's value counts, with `add` every object's does.
    """

    def __init__(self, product, metric, kind, aggregate="sum", period="daily", unit=None, repeat="replace"):
        self.product, self.metric, self.kind, self.aggregate = product, metric, kind, aggregate
        self.period, self.unit, self.repeat = period, unit, repeat
        #: What tells series apart.
        self.identity = (product, metric, kind.tag, kind.scale, aggregate, period, unit, repeat)


class UsageMapper(Table):
    """Makes usage records: derive from it, and name the class `ProductUsage`."""

    #: Where usage is kept by user: `id`, `email` or `name`.
    user = None

    def usage(self, row, series, identifiers, date, value, user, period_start):
        if value is None:
            return
        if date is None:
            raise Unreadable("no_date", "a usage value has no date", -1)
        start = start_of(series.period, date) if period_start is None else period_start
        entry = (row, self.identify(identifiers), user, date, start)
        # Values of one row that belong to one account, user and time share the entry.
        if not self._entries or self._entries[-1] != entry:
            self._entries.append(entry)
        place = self._places.setdefault(series.identity, len(self._places))
        if place == self._announced_before + len(self._announced):
            self._announced.append(series)
        block = self._blocks.setdefault((series.kind.tag, series.kind.scale), (series.kind, [], [], []))
        for column, item in zip(block[1:], (len(self._entries) - 1, place, value)):
            column.append(item)

    def _prepare(self):
        # Places of the series announced so far, in the whole table.
        self._places = {}

    def _clear(self):
        self._announced_before = len(self._places)
        self._issues, self._entries, self._announced, self._blocks = [], [], [], {}

    def _records(self):
        """`(rows, identifier columns, user column, dates, period starts, announced, blocks, issues)`."""
        rows, given, users, dates, starts = zip(*self._entries) if self._entries else ((),) * 5
        blocks = [
            (kind, entry_of, series_of, kind.column(values, "a metric"))
            for kind, entry_of, series_of, values in self._blocks.values()
        ]
        return (
            list(rows),
            [identifier_column([values[key] for values in given]) for key in range(self.keys)],
            None if self.user is None else identifier_column(users),
            [to_days(date) for date in dates],
            [to_days(start) for start in starts],
            self._announced,
            blocks,
            self.issues(),
        )
