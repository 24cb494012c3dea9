"""The component: the classes `FieldMapping` and `ProductUsage` of the module `mapper`, under the types of the contract.

Which of the two there must be follows from the world that the component is built for.
"""

import mapper
from componentize_py_types import Err
from wit_world.imports import columns, types
from wit_world.imports import log as host

from gristmill import log
from gristmill.columns import Text
from gristmill.days import from_days, from_microseconds
from gristmill.errors import fault_of

log.write = lambda level, message: host.write(host.Level[level.upper()], message)


class Transform:
    """The functions of the contract that are the same for both transforms. Each call finds a new object, so that the
    open table is kept by the class."""

    #: The author's class.
    mapped = None
    table = None

    def check(self, settings):
        return [_fault(fault) for fault in self.mapped.check(settings)]

    def open(self, source, header, settings):
        def begin():
            source.today, source.last_modified = from_days(source.today), from_microseconds(source.last_modified)
            type(self).table = self.mapped.begin(source, header, settings)
            return self.layout(self.table)

        return _guarded(begin)

    def map_batch(self, batch):
        cells = [(Text(each.text.offsets, each.text.bytes), each.typed) for each in batch.columns]
        return _guarded(lambda: self.records(self.table.map_batch(batch.first_row, batch.rows, cells)))

    def finish(self):
        def end():
            table, type(self).table = self.table, None
            return self.records(table.end_table())

        return _guarded(end)


def _guarded(call):
    try:
        return call()
    except Exception as error:
        raise Err(_fault(fault_of(error))) from error


def _fault(fault):
    return types.Fault(fault.code, fault.message, fault.row, fault.column)


def _case(module, variant, name, *value):
    """A case of a variant by its name with `_` for the contract's `-`."""
    return getattr(module, f"{variant}_{name.title().replace('_', '')}")(*value)


def _choice(enum, name):
    """A choice of an enum by its name with `_` for the contract's `-`."""
    return enum[name.upper()]


def _strategies(table):
    def key(name):
        if name.startswith("field:"):
            return types.MatchKey_Field(name.removeprefix("field:"))
        return _case(types, "MatchKey", name)

    return [[key(name) for name in names] for names in table.strategies]


def _value_type(kind):
    return _case(columns, "ValueType", kind.tag, *([kind.scale] if kind.tag == "decimal" else []))


def _text(text):
    return columns.Text(text.offsets, text.bytes)


def _text_column(column):
    text, validity = column
    return columns.TextColumn(_text(text), validity)


def _column(kind, column):
    values, validity = column
    if kind.tag == "text":
        values = _text(values)
    elif kind.tag == "text_list":
        values = columns.TextList(values[0], _text(values[1]))
    return columns.Column(_case(columns, "Values", kind.tag, values), validity)


def _issues(issues):
    rows, places, rejects, codes, messages = issues
    return types.Issues(rows, places, rejects, _text(codes), _text(messages))


if hasattr(mapper, "FieldMapping"):
    from wit_world.exports import field_mapping

    class FieldMapping(Transform):
        mapped = mapper.FieldMapping

        def layout(self, table):
            fields = [
                field_mapping.OutputField(
                    name,
                    _value_type(kind),
                    _choice(field_mapping.Semantic, kind.semantic),
                    kind.unit,
                    _choice(field_mapping.WriteMode, kind.write),
                )
                for name, kind in table.fields.items()
            ]
            return field_mapping.Layout(table.wanted, _strategies(table), fields)

        def records(self, records):
            rows, identifiers, fields, issues = records
            return field_mapping.AccountBatch(
                rows,
                [_text_column(column) for column in identifiers],
                [field_mapping.FieldColumn(_column(kind, column), clear) for kind, column, clear in fields],
                _issues(issues),
            )


if hasattr(mapper, "ProductUsage"):
    from wit_world.exports import product_usage

    class ProductUsage(Transform):
        mapped = mapper.ProductUsage

        def layout(self, table):
            user = None if table.user is None else _choice(product_usage.UserKey, table.user)
            return product_usage.Layout(table.wanted, _strategies(table), user)

        def records(self, records):
            rows, identifiers, user, dates, starts, announced, blocks, issues = records
            return product_usage.UsageBatch(
                rows,
                [_text_column(column) for column in identifiers],
                None if user is None else _text_column(user),
                dates,
                starts,
                [_series(series) for series in announced],
                [
                    product_usage.ValueBlock(entry_of, series_of, _column(kind, column))
                    for kind, entry_of, series_of, column in blocks
                ],
                _issues(issues),
            )

    def _series(series):
        name, _, calendar = series.period.partition(":")
        return product_usage.Series(
            series.product,
            series.metric,
            series.unit,
            _value_type(series.kind),
            _choice(product_usage.Aggregate, series.aggregate),
            _case(product_usage, "Period", name, *([calendar] if calendar else [])),
            _choice(product_usage.Repeat, series.repeat),
        )
