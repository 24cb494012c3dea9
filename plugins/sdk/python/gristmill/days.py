"""Dates and the periods they are in. The contract counts days and microseconds from 1970-01-01."""

import datetime

EPOCH = datetime.date(1970, 1, 1).toordinal()
_MOMENT = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


def to_days(date):
    return date.toordinal() - EPOCH


def from_days(days):
    return datetime.date.fromordinal(days + EPOCH)


def to_microseconds(moment):
    return (moment - _MOMENT) // datetime.timedelta(microseconds=1)


def from_microseconds(microseconds):
    return _MOMENT + datetime.timedelta(microseconds=microseconds)


def start_of(period, date):
    """The first day of the period that a date is in; weeks begin on Monday. A custom period's start is the mapper's."""
    if period in ("single", "daily"):
        return date
    if period == "weekly":
        return date - datetime.timedelta(days=date.weekday())
    if period == "monthly":
        return date.replace(day=1)
    if period == "quarterly":
        return date.replace(month=date.month - (date.month - 1) % 3, day=1)
    if period == "yearly":
        return date.replace(month=1, day=1)
    raise ValueError(f"the period `{period}` has no start of its own: give `period_start`")
