# SPDX-License-Identifier: Apache-2.0
"""Settings as ROS 2 parameters: declared once, described, validated, some of them live."""

from collections.abc import Callable, Mapping
from dataclasses import fields
import difflib
import sys
from typing import Any, TypeVar, get_args, get_origin

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from rl_control.common.errors import InvalidInput
from rl_control.config.base import Settings, kind_of

Kind = TypeVar('Kind', bound=Settings)

_SCALAR_TYPES = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAY_TYPES = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}


def declare(
    node: Node, prefix: str, settings: type[Kind], values: Mapping[str, Any] | None = None,
    **defaults: Any,
) -> Kind:
    """
    Declare every field of `settings` as `prefix.field` and return the settings in force.

    `defaults` go before those of the class, and before both the `values`, which are those that
    the node was given unless told. An integer is taken where a double is declared. Raise
    InvalidInput for a name that is not known and for values that the settings refuse.
    """
    known = {item.name for item in fields(settings)}
    given = given_values(node, prefix) if values is None else values
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            mend = f'did you mean {prefix}.{near[0]}?' if near else f'known are {_listed(known)}'
            raise InvalidInput(f'node {node.get_name()} has no parameter {prefix}.{name}; {mend}')
    try:
        made = settings.from_mapping({**defaults, **given})
    except InvalidInput as refused:
        raise InvalidInput(f'parameters {prefix}.*: {refused}') from refused
    for item in fields(settings):
        _declare_field(node, f'{prefix}.{item.name}', settings, item, getattr(made, item.name))
    return made


def watch(node: Node, prefix: str, current: Kind, on_change: Callable[[Kind], None]) -> None:
    """
    Let the live fields of `current`, as `declare` returned it, be set while the node runs.

    `on_change` is called on the executor's thread with the new settings before they show as
    parameters; when it raises InvalidInput, or the settings do, the setter gets the reason.
    """
    start = f'{prefix}.'
    held = [current]

    def convert(parameters: list[Parameter]) -> list[Parameter]:
        return [
            _as_declared(type(current), parameter.name.removeprefix(start), parameter)
            if parameter.name.startswith(start) else parameter
            for parameter in parameters
        ]

    def check(parameters: list[Parameter]) -> SetParametersResult:
        changed = {
            parameter.name.removeprefix(start): parameter.value
            for parameter in parameters if parameter.name.startswith(start)
        }
        if not changed:
            return SetParametersResult(successful=True)
        try:
            new = type(current).from_mapping({**held[0].to_mapping(), **changed})
            on_change(new)
        except InvalidInput as refused:
            return SetParametersResult(successful=False, reason=str(refused))
        held[0] = new
        return SetParametersResult(successful=True)

    # Before rclpy compares types, 5 becomes 5.0; ranges and types are then rclpy's own check.
    node.add_pre_set_parameters_callback(convert)
    node.add_on_set_parameters_callback(check)


def given_values(node: Node, prefix: str) -> dict[str, Any]:
    """Return what files, arguments and launch gave below `prefix`; rclpy has no public way."""
    start = f'{prefix}.'
    return {
        name.removeprefix(start): parameter.value
        for name, parameter in node._parameter_overrides.items() if name.startswith(start)
    }


def _declare_field(
    node: Node, name: str, settings: type[Settings], item: Any, value: Any
) -> None:
    final = _descriptor(settings, item)
    if isinstance(value, tuple):
        # The type of an empty list cannot be inferred, so the type is declared, then set.
        kind = _ARRAY_TYPES[get_args(kind_of(settings, item.name))[0]]
        node.declare_parameter(name, kind, ParameterDescriptor(), ignore_override=True)
        node.set_parameters([Parameter(name, kind, list(value))])
        final.type = kind.value
        node.set_descriptor(name, final)
    else:
        node.declare_parameter(name, value, final, ignore_override=True)


def _descriptor(settings: type[Settings], item: Any) -> ParameterDescriptor:
    about, kind = item.metadata, kind_of(settings, item.name)
    unit = f' ({about["unit"]})' if about['unit'] else ''
    descriptor = ParameterDescriptor(
        description=about['doc'] + unit, read_only=not about['live'])
    if about['choices']:
        descriptor.additional_constraints = f'one of {", ".join(about["choices"])}'
    low, high = about['low'], about['high']
    if low is None and high is None:
        return descriptor
    if kind is int:
        descriptor.integer_range = [IntegerRange(
            from_value=-2**63 if low is None else int(low),
            to_value=2**63 - 1 if high is None else int(high),
        )]
    elif kind is float:
        largest = sys.float_info.max
        descriptor.floating_point_range = [FloatingPointRange(
            from_value=-largest if low is None else float(low),
            to_value=largest if high is None else float(high),
        )]
    else:
        bounds = f'each from {"-inf" if low is None else low} to {"inf" if high is None else high}'
        descriptor.additional_constraints = bounds
    return descriptor


def _as_declared(settings: type[Settings], name: str, parameter: Parameter) -> Parameter:
    """Return an integer as the double, or a list as the kind of list, that is declared."""
    if name not in {item.name for item in fields(settings)}:
        return parameter
    kind, value = kind_of(settings, name), parameter.value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return Parameter(parameter.name, _SCALAR_TYPES[float], float(value))
    if get_origin(kind) is tuple and value is not None:
        element = get_args(kind)[0]
        if not len(value):
            return Parameter(parameter.name, _ARRAY_TYPES[element], [])
        if element is float and parameter.type_ == Parameter.Type.INTEGER_ARRAY:
            return Parameter(
                parameter.name, _ARRAY_TYPES[float], [float(part) for part in value])
    return parameter


def _listed(names: set[str]) -> str:
    return ', '.join(sorted(names))
