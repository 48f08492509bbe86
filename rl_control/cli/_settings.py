# SPDX-License-Identifier: Apache-2.0
"""Command-line options from settings: names, types, choices and help."""

import argparse
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args

from rl_control.config.base import Settings, kind_of

Kind = TypeVar('Kind', bound=Settings)

VALUE_COUNTS = {'goal': 3}  # options with that many values; other lists are written A,B,C


def add_settings(parser: argparse._ActionsContainer, settings: type[Settings]) -> None:
    """Add an option for each setting."""
    for item in fields(settings):
        about, option = item.metadata, '--' + item.name.replace('_', '-')
        text = about['doc'] + (f' [{about["unit"]}]' if about['unit'] else '')
        kind = kind_of(settings, item.name)
        how: dict[str, Any] = {'dest': _name(settings, item.name), 'help': text}
        if item.default not in ('', (), False):
            how['help'] += f'; default {item.default}'.replace('%', '%%')
        if item.name in VALUE_COUNTS:
            how |= {'nargs': VALUE_COUNTS[item.name], 'type': get_args(kind)[0],
                    'metavar': ('X', 'Y', 'Z')}
        elif kind is bool:
            how |= {'action': 'store_const', 'const': True}
        elif kind in (int, float):
            how |= {'type': kind, 'metavar': 'N' if kind is int else about['unit'].upper() or 'N'}
        elif about['choices']:
            how |= {'choices': [choice for choice in about['choices'] if choice]}
        else:
            how |= {'metavar': 'A,B,C' if get_args(kind) else item.name.upper()}
        parser.add_argument(option, **how)


def given_settings(
    options: argparse.Namespace, settings: type[Kind], file: Mapping[str, Any] | None = None,
) -> Kind:
    """Return the settings of the options; those not given are the ones of `file`."""
    given: dict[str, Any] = {}
    for item in fields(settings):
        value = getattr(options, _name(settings, item.name))
        if isinstance(value, str) and isinstance(item.default, tuple):
            value = tuple(value.split(','))
        if value is not None:
            given[item.name] = value
    return settings.from_mapping({**(file or {}), **given})


def _name(settings: type[Settings], field: str) -> str:
    return f'{settings.__name__}.{field}'
