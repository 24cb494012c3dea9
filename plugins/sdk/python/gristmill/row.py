"""A row of the table."""

from .cell import Cell


class Row:
    """A row. `number` counts from 0 over the whole table, the header not counted. It may be kept beyond its batch, for
    `finish`."""

    __slots__ = ("number", "_table", "_columns", "_place")

    def __init__(self, table, columns, place, number):
        self.number, self._table, self._columns, self._place = number, table, columns, place

    def __getitem__(self, column):
        """The cell of a column that was asked for, by its name or its header index."""
        slot = self._table.slot(column)
        if slot is None:
            return Cell("")
        strings, typed = self._columns[slot]
        place = self._place
        return Cell(strings[place], typed is not None and typed[place], self._table.wanted[slot])

    def reject(self, code, message, column=None):
        """Refuses the row: it makes no record of either transform, and the reject file says why."""
        self._table.issue(self.number, column, True, code, message)

    def warn(self, code, message, column=None):
        """Says that something of the row was left out or mended."""
        self._table.issue(self.number, column, False, code, message)

    def account(self, identifiers, fields):
        """An account record, in a field mapper: a value for each key of each strategy, in their order (blank ones are
        none), and the values by field."""
        self._table.account(self.number, identifiers, fields)

    def usage(self, series, identifiers, date, value, user=None, period_start=None):
        """A usage value, in a usage mapper; None is none. `date` is the row's own; the period's start must be given for
        a custom period."""
        self._table.usage(self.number, series, identifiers, date, value, user, period_start)
