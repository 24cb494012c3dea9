"""Settings as the author's own type."""

import dataclasses
import json

from .errors import Fault, fault_of


def decode(settings_type, text):
    """The settings in JSON as `settings_type`, a dataclass, and everything that is wrong with them. Its
    `__post_init__` may raise `ValueError`. Without a type they stay a dict."""
    try:
        raw = json.loads(text or "null") or {}
        if settings_type is None:
            return raw, []
        fields = {field.name: field for field in dataclasses.fields(settings_type)}
        unknown = [f"there is no setting `{key}`" for key in raw if key not in fields]
        missing = [
            f"the setting `{name}` is missing"
            for name, field in fields.items()
            if name not in raw and field.default is field.default_factory is dataclasses.MISSING
        ]
        wrong = [
            f"the setting `{key}` is not of the type {fields[key].type.__name__}"
            for key, value in raw.items()
            if key in fields and isinstance(fields[key].type, type) and not _is(value, fields[key].type)
        ]
        problems = [Fault("settings", problem) for problem in (*unknown, *missing, *wrong)]
        return (None, problems) if problems else (settings_type(**raw), [])
    except ValueError as error:
        return None, [Fault("settings", str(error))]
    except Exception as error:
        return None, [fault_of(error)]


def _is(value, wanted):
    # A truth is an int in Python, and a whole number may stand for a float.
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)
