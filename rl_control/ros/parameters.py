# SPDX-License-Identifier: Apache-2.0
"""Declare settings as ROS 2 parameters, with description, range and validation."""

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
from rl_control.ros.rclpy_internals import parameter_overrides

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

    Values set by the user, or `values` in their place where given, override `defaults`, which
    override those of the class. An integer is accepted where a double is declared. Raise
    InvalidInput for unknown names and for values that the settings reject.
    """
    known = {item.name for item in fields(settings)}
    given = given_values(node, prefix, settings) if values is None else values
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            remedy = f'did you mean {prefix}.{near[0]}?' if near else f'known are {_listed(known)}'
            raise InvalidInput(
                f'node {node.get_name()} has no parameter {prefix}.{name}; {remedy}')
    try:
        made = settings.from_mapping({**defaults, **given})
    except InvalidInput as refused:
        raise InvalidInput(f'parameters {prefix}.*: {refused}') from refused
    for item in fields(settings):
        _declare_field(node, f'{prefix}.{item.name}', settings, item, getattr(made, item.name))
    return made


def given_values(node: Node, prefix: str, settings: type[Settings]) -> dict[str, Any]:
    """
    Return the values that files, arguments and launch set below `prefix.`, by field.

    Where rclpy lacks its private name, only fields of `settings` are found: a misspelt name then
    goes unnoticed.
    """
    found = parameter_overrides(node, prefix)
    if found is not None:
        return found
    values = {}
    for item in fields(settings):
        name = f'{prefix}.{item.name}'
        values[item.name] = node.declare_parameter(
            name, None, ParameterDescriptor(dynamic_typing=True)).value
        node.undeclare_parameter(name)
    return {name: value for name, value in values.items() if value is not None}


def watch(node: Node, prefix: str, current: Kind, on_change: Callable[[Kind], None]) -> None:
    """
    Let users set the live fields of `current`, as `declare` returned it, while the node runs.

    `on_change` is called on the executor's thread with the new settings before the parameters
    change; if it or the settings raise InvalidInput, the user gets the reason.
    """
    start = f'{prefix}.'
    in_force = [current]

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
            new = type(current).from_mapping({**in_force[0].to_mapping(), **changed})
            on_change(new)
        except InvalidInput as refused:
            return SetParametersResult(successful=False, reason=str(refused))
        in_force[0] = new
        return SetParametersResult(successful=True)

    # 5 becomes 5.0 before rclpy checks types and ranges.
    node.add_pre_set_parameters_callback(convert)
    node.add_on_set_parameters_callback(check)


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
    """Convert an integer to the declared double, and a list to the declared type of list."""
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
