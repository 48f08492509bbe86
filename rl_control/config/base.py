# SPDX-License-Identifier: Apache-2.0
"""Settings: frozen dataclasses whose fields have default, unit, range and meaning."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
import inspect
import math
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from rl_control.common.errors import InvalidInput


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = '',
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = False,
) -> Any:
    """
    Declare one field of a Settings class.

    `low` and `high` are inclusive and hold for every element of a tuple; `live` fields may change
    while a node runs.
    """
    described = {
        'doc': doc, 'unit': unit, 'low': low, 'high': high, 'choices': choices, 'live': live,
    }
    return field(default=default, metadata=described)


def defaults(**values: Any) -> Callable[[type], type]:
    """Return a decorator, placed below @dataclass, that changes defaults of inherited fields."""
    def change(cls: type) -> type:
        inherited = {item.name: item for base in reversed(cls.__mro__) if is_dataclass(base)
                     for item in fields(base)}
        for name, value in values.items():
            cls.__annotations__ = inspect.get_annotations(cls) | {name: inherited[name].type}
            setattr(cls, name, field(default=value, metadata=inherited[name].metadata))
        return cls
    return change


@dataclass(frozen=True)
class Settings:
    """
    Base of all settings: validates every field on construction.

    `RENAMED` maps former names to their present name and to present names of their values.
    """

    RENAMED: ClassVar[Mapping[str, tuple[str, Mapping[str, str]]]] = {}

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            checked = _checked(item, hints[item.name], getattr(self, item.name))
            object.__setattr__(self, item.name, checked)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return settings from plain values; raise InvalidInput for an unknown name."""
        known = {item.name for item in fields(cls)}
        for name, value in values.items():
            if name in cls.RENAMED:
                (new, now), = cls.from_former({name: value}).items()
                raise InvalidInput(
                    f'setting {name} is now called {new}; write {new}: {now} for {name}: {value}')
            if name not in known:
                raise InvalidInput(
                    f'{cls.__name__} has no setting {name!r}; known are {", ".join(sorted(known))}'
                )
        return cls(**values)

    @classmethod
    def from_former(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return `values` with the former names of older files replaced by present ones."""
        present = dict(values)
        for old, (new, words) in cls.RENAMED.items():
            if old in present:
                value = present.pop(old)
                present[new] = words.get(value, value)
        return present

    def to_mapping(self) -> dict[str, Any]:
        """Return plain values from which `from_mapping` makes equal settings."""
        return {
            item.name: list(value) if isinstance(value, tuple) else value
            for item in fields(self)
            for value in [getattr(self, item.name)]
        }


def _checked(item: Any, kind: Any, value: Any) -> Any:
    """Return `value` as `kind`, or raise InvalidInput with the setting and the remedy."""
    if get_origin(kind) is tuple:
        if isinstance(value, str) or not hasattr(value, '__iter__'):
            raise InvalidInput(f'setting {item.name} is {value!r}; give a list')
        element = get_args(kind)[0]
        return tuple(_checked_scalar(item, element, part) for part in value)
    return _checked_scalar(item, kind, value)


def _checked_scalar(item: Any, kind: type, value: Any) -> Any:
    name, about = item.name, item.metadata
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidInput(f'setting {name} is {value!r}; it must be of type {kind.__name__}')
    if about['choices'] and value not in about['choices']:
        raise InvalidInput(f'setting {name} is {value!r}; known are {", ".join(about["choices"])}')
    if isinstance(value, float) and math.isnan(value):
        raise InvalidInput(f'setting {name} is NaN; give {_range(about)}')
    if about['low'] is not None and value < about['low']:
        raise InvalidInput(f'setting {name} is {value}; give {_range(about)}')
    if about['high'] is not None and value > about['high']:
        raise InvalidInput(f'setting {name} is {value}; give {_range(about)}')
    return value


def _range(about: Mapping[str, Any]) -> str:
    low = '-inf' if about['low'] is None else about['low']
    high = 'inf' if about['high'] is None else about['high']
    return f'a number from {low} to {high} {about["unit"]}'.rstrip()


def required(value: str | tuple[Any, ...], name: str) -> None:
    """Raise InvalidInput if a setting without a usable default is empty."""
    if not value:
        raise InvalidInput(f'setting {name} is empty; set it in the parameter file')


def kind_of(settings: type[Settings], name: str) -> Any:
    """Return the declared type of one field: bool, int, float, str or tuple[one of them, ...]."""
    return get_type_hints(settings)[name]
