"""What a mapper is written with: `FieldMapper` and `UsageMapper` are defined in terms of rows and become the functions
of the contract `gristmill:mapper@0.1.0`.

Nothing in here knows of a host, so a mapper runs under `python -m unittest` as it does in a component;
`gristmill_component` is the component's entry and the only module that imports the contract.
"""

from .accounts import CLEAR, FieldMapper
from .cell import Cell, Unreadable
from .days import start_of
from .errors import Fault
from .log import log
from .row import Row
from .usage import Series, UsageMapper
from .values import Type, boolean, date, decimal, float_, integer, text, text_list, timestamp

__all__ = [
    "CLEAR", "Cell", "Fault", "FieldMapper", "Row", "Series", "Type", "Unreadable", "UsageMapper", "boolean", "date",
    "decimal", "float_", "integer", "log", "start_of", "text", "text_list", "timestamp",
]  # fmt: skip
