"""Field mapping: account records."""

from .columns import bitmap
from .table import Table
from .values import identifier_column

#: Given for a field's value, it erases what is stored; None leaves that as it is.
CLEAR = object()


class FieldMapper(Table):
    """Makes account records: derive from it, and name the class `FieldMapping`."""

    #: Types by field.
    fields = {}

    def account(self, row, identifiers, values):
        given = self.identify(identifiers)
        for name in values:
            if name not in self.fields:
                raise KeyError(f"the layout has no field `{name}`")
        self._rows.append(row)
        self._identifiers.append(given)
        for column, name in zip(self._columns, self.fields):
            column.append(values.get(name))

    def _clear(self):
        self._issues = []
        self._rows, self._identifiers = [], []
        self._columns = [[] for _ in self.fields]

    def _records(self):
        """`(rows, identifier columns, field columns, issues)`."""
        fields = [
            (kind, *_field(kind, column, f"the field `{name}`"))
            for (name, kind), column in zip(self.fields.items(), self._columns)
        ]
        columns = [identifier_column([given[key] for given in self._identifiers]) for key in range(self.keys)]
        return self._rows, columns, fields, self.issues()


def _field(kind, values, what):
    if CLEAR not in values:
        return kind.column(values, what), None
    clear = [value is CLEAR for value in values]
    return kind.column([None if value is CLEAR else value for value in values], what), bitmap(clear)
