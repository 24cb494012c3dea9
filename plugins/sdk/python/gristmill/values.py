"""The types of values, and columns of them as the contract has them."""

import datetime
from decimal import Context, Decimal, localcontext

from .columns import Text, bitmap, validity
from .days import to_days, to_microseconds


class Type:
    """A type, and what a field says beyond it. Usage ignores `semantic` and `write`."""

    def __init__(self, tag, scale=None, semantic="plain", unit=None, write="overwrite"):
        self.tag, self.scale, self.semantic, self.unit, self.write = tag, scale, semantic, unit, write

    def column(self, values, what):
        """Values as a column: `(values, validity)`. `what` names it in an error."""
        make, missing = _MAKE[self.tag]
        for value in values:
            if value is not None and not self._fits(value):
                raise TypeError(f"{what} takes values of the type {self.tag}, and {value!r} is none")
        if self.tag == "decimal":
            present = [0 if value is None else self._unscaled(value, what) for value in values]
        else:
            present = [missing if value is None else value for value in values]
        return make(present), validity(values)

    def _fits(self, value):
        # A truth is an int in Python, and a moment is a date.
        kinds = _KINDS[self.tag]
        if type(value) not in kinds and (isinstance(value, (bool, datetime.datetime)) or not isinstance(value, kinds)):
            return False
        if self.tag == "integer":
            return -(2**63) <= value < 2**63
        return self.tag != "timestamp" or value.tzinfo is not None

    def _unscaled(self, value, what):
        with localcontext(Context(prec=40)):
            units = Decimal(value).scaleb(self.scale)
            if units != units.to_integral_value() or not -(2**63) <= units < 2**63:
                raise ValueError(f"{what} takes at most {self.scale} digits after the point, and {value} has more")
            return int(units)


def _lists(lists):
    ends, items = [0], []
    for each in lists:
        items.extend(each)
        ends.append(len(items))
    return ends, Text.of(items)


_KINDS = {
    "text": (str,),
    "integer": (int,),
    "float": (float, int, Decimal),
    "decimal": (Decimal, int),
    "boolean": (bool,),
    "date": (datetime.date,),
    "timestamp": (datetime.datetime,),
    "text_list": (list, tuple),
}

#: How a column is made, and what stands where there is no value.
_MAKE = {
    "text": (Text.of, ""),
    "integer": (list, 0),
    "float": (lambda values: [float(value) for value in values], 0.0),
    "decimal": (list, 0),
    "boolean": (bitmap, False),
    "date": (lambda values: [to_days(value) for value in values], datetime.date(1970, 1, 1)),
    "timestamp": (
        lambda values: [to_microseconds(value) for value in values],
        datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc),
    ),
    "text_list": (_lists, ()),
}


def text(semantic="plain", write="overwrite"):
    """`str`. `semantic`: plain, long_text, picklist, url, email or user."""
    return Type("text", semantic=semantic, write=write)


def integer(write="overwrite"):
    """`int` of 64 bits."""
    return Type("integer", write=write)


def float_(semantic="plain", write="overwrite"):
    """`float`. `semantic`: plain or percent."""
    return Type("float", semantic=semantic, write=write)


def decimal(scale, semantic="plain", unit=None, write="overwrite"):
    """Exact `Decimal` or `int` with so many digits after the point, 0 to 18. `semantic`: plain, currency or percent."""
    return Type("decimal", scale, semantic, unit, write)


def boolean(write="overwrite"):
    """`bool`."""
    return Type("boolean", write=write)


def date(write="overwrite"):
    """`datetime.date`."""
    return Type("date", write=write)


def timestamp(write="overwrite"):
    """`datetime.datetime` with a time zone."""
    return Type("timestamp", write=write)


def text_list(semantic="plain", write="overwrite"):
    """A list of `str`. `write`: overwrite, if_empty or append."""
    return Type("text_list", semantic=semantic, write=write)


def identifier_column(values):
    """A column of strings that name accounts or users; blank ones are none."""
    present = [value or None for value in values]
    return Text.of([value or "" for value in values]), validity(present)
