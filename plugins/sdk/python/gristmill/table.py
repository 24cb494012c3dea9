"""What the two transforms share: an open table, its columns and its issues."""

from .cell import Unreadable
from .columns import Text, bitmap, is_set
from .errors import Fault, fault_of
from .row import Row
from .settings import decode

_KEYS = ("crm_id", "domain", "name", "id")


class Table:
    """One table of a file. What an author may give stands here, as attributes of the class or set in `open`."""

    #: Names or header indices of the columns to get; all unless said.
    columns = None
    #: Columns that may be missing; their cells are blank then.
    optional = ()
    #: Strategies in order: a key, or several keys together. A key is `crm_id`, `domain`, `name`, `id` or `field:KEY`.
    identifiers = ()
    #: A dataclass for the settings; without one they are a dict.
    settings_type = None

    def open(self):
        """Begins the table. `self.source`, `self.header` and `self.settings` are there."""

    def map(self, row):
        """Maps one row."""
        raise NotImplementedError

    def finish(self):
        """Ends the table; rows that were held back make their records here."""

    # What follows is between the SDK and the component.

    @classmethod
    def check(cls, text):
        return decode(cls.settings_type, text)[1]

    @classmethod
    def begin(cls, source, header, text):
        """An open table; a class of its own settings and state for each."""
        settings, faults = decode(cls.settings_type, text)
        if faults:
            raise faults[0]
        table = cls()
        table.source, table.header, table.settings = source, header, settings
        table.open()
        table.wanted, table._slots = [], {}
        names = [table.identifiers] if isinstance(table.identifiers, str) else table.identifiers
        table.strategies = [_strategy(names) for names in names]
        table.keys = sum(map(len, table.strategies))
        for column in range(len(header)) if table.columns is None else table.columns:
            table._want(column, True)
        for column in table.optional:
            table._want(column, False)
        table._prepare()
        table._clear()
        return table

    def _want(self, column, is_required):
        try:
            index = column if isinstance(column, int) else self.header.index(column)
            name = self.header[index]
        except (ValueError, IndexError):
            if is_required:
                raise Fault("missing_column", f"the table has no column `{column}`") from None
            self._slots[column] = None
            return
        slot = len(self.wanted)
        self._slots[column] = self._slots[index] = slot
        # Of two columns with one name, the name means the first.
        self._slots.setdefault(name, slot)
        self.wanted.append(index)

    def slot(self, column):
        try:
            return self._slots[column]
        except KeyError:
            raise KeyError(f"`{column}` is not one of the columns that were asked for") from None

    def issue(self, row, column, is_reject, code, message):
        if column is None:
            column = -1
        elif not isinstance(column, int):
            column = self.header.index(column) if column in self.header else -1
        self._issues.append((row, column, is_reject, code, str(message)))

    def issues(self):
        rows, columns, rejects, codes, messages = zip(*self._issues) if self._issues else ((),) * 5
        return list(rows), list(columns), bitmap(rejects), Text.of(codes), Text.of(messages)

    def map_batch(self, first_row, rows, columns):
        """Maps rows whose columns are `(Text, typed bitmap or None)`."""
        cells = [
            (text.strings(), typed if typed is None else [is_set(typed, place) for place in range(rows)])
            for text, typed in columns
        ]
        for place in range(rows):
            row = Row(self, cells, place, first_row + place)
            try:
                self.map(row)
            except Unreadable as error:
                row.reject(error.code, error.message, error.column if error.column >= 0 else None)
            except Exception as error:
                raise fault_of(error, row.number) from error
        return self._end()

    def end_table(self):
        self.finish()
        return self._end()

    def _prepare(self):
        """Begins what a transform keeps from batch to batch."""

    def _end(self):
        batch = self._records()
        self._clear()
        return batch

    def identify(self, identifiers):
        """A value for each key of each strategy."""
        given = [identifiers] if identifiers is None or isinstance(identifiers, str) else list(identifiers)
        if len(given) != self.keys:
            raise TypeError(f"{len(given)} identifiers are given for {self.keys} keys")
        return given

    def account(self, *_):
        raise TypeError("a usage mapper makes no account records")

    def usage(self, *_):
        raise TypeError("a field mapper makes no usage records")


def _strategy(names):
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in _KEYS and not name.startswith("field:"):
            raise ValueError(f"`{name}` is none of {', '.join(_KEYS)} and field:KEY")
    return names
