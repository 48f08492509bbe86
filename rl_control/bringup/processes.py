# SPDX-License-Identifier: Apache-2.0
"""Graph and NodeProcess: processes built from arguments."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rl_control.bringup.arguments import PARAMETERS, Argument
from rl_control.common.errors import InvalidInput
from rl_control.config.files import read_parameters
from rl_control.config.reference import SECTIONS

Parameter = bool | int | float | str


@dataclass(frozen=True)
class NodeProcess:
    """
    One process with one node.

    `parameters` override `parameter_files`. When a process with `ends_graph` exits, the others are
    stopped. A process with `respawn` is restarted when it dies; with `ends_graph` as well, only
    its exit with status 0 ends the graph. `namespace` has no leading slash, empty: none;
    `remappings` map topic to topic.
    """

    executable: str
    name: str
    parameter_files: tuple[Path, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    ends_graph: bool = False
    respawn: bool = False
    namespace: str = ''
    remappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """A launchable graph: its arguments, and the function that builds its processes."""

    doc: str
    arguments: tuple[Argument, ...]
    build: Callable[[Mapping[str, str]], list[NodeProcess]]

    def processes(self, given: Mapping[str, str]) -> list[NodeProcess]:
        """
        Return the processes for the arguments `given`.

        Raise InvalidInput for an unknown one.
        """
        defaults = {argument.name: argument.default for argument in self.arguments}
        for name in given:
            if name not in defaults:
                raise InvalidInput(
                    f'argument {name!r} is not known here; known are {", ".join(defaults)}')
        arguments = {**defaults, **given}
        built = self.build(arguments)
        for path in given_file(arguments):
            built = _with_parameters(built, path)
        return built


def given_file(arguments: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the parameter file for all nodes, () for none."""
    path = arguments.get(PARAMETERS.name)
    return (Path(path).expanduser(),) if path else ()


def _with_parameters(processes: Sequence[NodeProcess], path: Path) -> list[NodeProcess]:
    """
    Return the processes with the parameter file `path` appended to their files.

    Raise InvalidInput for a parameter that no node has, and for one that the graph itself sets:
    both would be silently ignored.
    """
    for parameter in read_parameters(path):
        prefix, dot, _ = parameter.partition('.')
        if dot and prefix not in (*SECTIONS, 'algorithm'):
            raise InvalidInput(f'{path} sets {parameter}, but no node has {prefix}.*; known are '
                          f'{", ".join(("algorithm", *SECTIONS))}')
        for process in processes:
            if parameter in process.parameters:
                raise InvalidInput(f'{path} sets {parameter}, which the graph itself sets for '
                              f'{process.name}; take it out, or give its argument')
    return [replace(process, parameter_files=(*process.parameter_files, path))
            for process in processes]
