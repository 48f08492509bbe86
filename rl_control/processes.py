# SPDX-License-Identifier: Apache-2.0
"""What a graph is: processes made from arguments."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl_control.arguments import Argument
from rl_control.errors import Refused

Parameter = bool | int | float | str


@dataclass(frozen=True)
class NodeProcess:
    """
    One process with one node.

    `parameter_files` come before `parameters`; when a process that `ends_graph` exits, the others
    are stopped. One that may `respawn` is started again when it dies. `namespace` is without the
    first slash, empty for none; `remappings` are from topic to topic.
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
    """A launchable graph: its arguments, and how they become processes."""

    doc: str
    arguments: tuple[Argument, ...]
    build: Callable[[Mapping[str, str]], list[NodeProcess]]

    def processes(self, given: Mapping[str, str]) -> list[NodeProcess]:
        """Return the processes for the arguments `given`; raise Refused for an unknown one."""
        defaults = {argument.name: argument.default for argument in self.arguments}
        for name in given:
            if name not in defaults:
                raise Refused(
                    f'argument {name!r} is not known here; known are {", ".join(defaults)}')
        return self.build({**defaults, **given})
