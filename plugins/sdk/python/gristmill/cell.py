"""A source cell and the ways to read it."""

import datetime
import json
import re
from decimal import Decimal

_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_PARTS = {"Y": r"(?P<Y>[0-9]{4})", "m": r"(?P<m>[0-9]{1,2})", "d": r"(?P<d>[0-9]{1,2})"}
_PATTERNS = {}


class Unreadable(Exception):
    """A cell that does not read as it should. Not caught, it rejects its row and names the column."""

    def __init__(self, code, message, column):
        super().__init__(message)
        self.code, self.message, self.column = code, message, column


class Cell:
    """One cell: its `text`, and whether a workbook `typed` it. Every reader gives None for a blank cell and raises
    `Unreadable` for one that does not read. Locale and format options do not apply to typed cells: their text is
    canonical."""

    __slots__ = ("text", "typed", "column")

    def __init__(self, text, typed=False, column=-1):
        self.text, self.typed, self.column = text, typed, column

    @property
    def is_blank(self):
        """Whether there is nothing but white space in it."""
        return not self.text.strip()

    def trimmed(self):
        """The text without white space round it, or None."""
        return self.text.strip() or None

    def decimal(self, scale=None, point=".", group=""):
        """An exact number, with at most `scale` digits after the point."""
        text = self.text.strip()
        if not text:
            return None
        if not self.typed and (group or point != "."):
            text = self._plain(text, point, group)
        if not _NUMBER.fullmatch(text):
            self.fail("not_a_number", "is not a number")
        value = Decimal(text)
        if scale is not None:
            _, digits, exponent = value.as_tuple()
            beyond = -exponent - scale
            if beyond > 0 and any(digits[-beyond:]):
                self.fail("too_many_decimals", f"is not a number with at most {scale} digits after the point")
            # What a column of decimals holds, in units of the last place.
            if value and value.adjusted() + scale >= 18:
                self.fail("out_of_range", f"is not a number of at most {18 - scale} digits before the point")
        return value

    def _plain(self, text, point, group):
        """The number with `.` for decimals and no groups."""
        whole, *fraction = text.split(point)
        first, *groups = whole.split(group) if group else [whole]
        grouped = groups and (len(first.lstrip("-+")) not in (1, 2, 3) or any(len(digits) != 3 for digits in groups))
        if grouped or (point != "." and any("." in part for part in (first, *groups, *fraction))):
            self.fail("not_a_number", "is not a number")
        return ".".join(["".join([first, *groups]), *fraction])

    def number(self, point=".", group=""):
        """A number as a float."""
        value = self.decimal(None, point, group)
        return None if value is None else float(value)

    def integer(self, point=".", group=""):
        """A whole number of at most 64 bits."""
        value = self.decimal(None, point, group)
        if value is None:
            return None
        # Before it is made an int: an exponent can ask for a number of any length.
        if value.adjusted() > 18 or value != value.to_integral_value() or not -(2**63) <= value < 2**63:
            self.fail("not_an_integer", "is not a whole number")
        return int(value)

    def boolean(self, yes=("true",), no=("false",)):
        """`true` and `false`, or the words given, in any case."""
        word = self.text.strip().lower()
        if not word:
            return None
        if word in (("true",) if self.typed else yes):
            return True
        if word in (("false",) if self.typed else no):
            return False
        return self.fail("not_a_boolean", f"is neither {', '.join(yes)} nor {', '.join(no)}")

    def date(self, form="%Y-%m-%d"):
        """A date. `form` has `%Y`, `%m` and `%d` between the characters that stand there; nothing is guessed."""
        # A workbook's date may carry a time, which belongs to the same day.
        text, form = (self.text.strip()[:10], "%Y-%m-%d") if self.typed else (self.text.strip(), form)
        if not text:
            return None
        found = _pattern(form).fullmatch(text)
        if found:
            parts = {"Y": 1970, "m": 1, "d": 1, **found.groupdict()}
            try:
                return datetime.date(int(parts["Y"]), int(parts["m"]), int(parts["d"]))
            except ValueError:
                pass
        return self.fail("bad_date", f"is not a date of the form {form}")

    def json(self):
        """What the cell holds as JSON."""
        if self.is_blank:
            return None
        try:
            return json.loads(self.text)
        except ValueError:
            return self.fail("not_json", "is not JSON")

    def fail(self, code, message):
        """Says that this cell does not read; `message` follows the cell's text."""
        shown = self.text if len(self.text) <= 40 else f"{self.text[:40]}…"
        raise Unreadable(code, f"`{shown}` {message}", self.column)


def _pattern(form):
    pattern = _PATTERNS.get(form)
    if pattern is None:
        parts = re.split(r"%([Ymd])", form)
        pattern = "".join(_PARTS[part] if place % 2 else re.escape(part) for place, part in enumerate(parts))
        pattern = _PATTERNS[form] = re.compile(pattern)
    return pattern
