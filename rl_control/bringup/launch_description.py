# SPDX-License-Identifier: Apache-2.0
"""Turn a graph into a launch description; needs ROS 2's `launch` and `launch_ros`."""

from collections.abc import Iterator
from functools import partial
from itertools import count

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import Graph, NodeProcess
from rl_control.bringup.run_record import leave_started
from rl_control.common.errors import InvalidInput, Unavailable

RESPAWN_DELAY = 2.0  # s; `launch` does not let it grow


def describe(name: str) -> LaunchDescription:
    """Return the launch description of the graph `name`."""
    chosen = graph(name)
    return LaunchDescription([
        *(DeclareLaunchArgument(argument.name, default_value=argument.default,
                                description=argument.doc)
          for argument in chosen.arguments),
        OpaqueFunction(function=_nodes, args=[name, chosen]),
    ])


def _nodes(context: LaunchContext, name: str, chosen: Graph) -> list[Node]:
    given = {argument.name: context.launch_configurations[argument.name]
             for argument in chosen.arguments}
    processes = chosen.processes(given)
    leave_started(name, given, processes)
    return [_node(process) for process in processes]


def _node(process: NodeProcess) -> Node:
    return Node(
        package='rl_control',
        executable=process.executable,
        name=process.name,
        namespace=process.namespace,
        remappings=list(process.remappings.items()),
        output='screen',
        parameters=[*map(str, process.parameter_files), dict(process.parameters)],
        respawn=process.respawn,
        respawn_delay=RESPAWN_DELAY,
        on_exit=partial(_on_exit, process, count()),
    )


def _on_exit(
    process: NodeProcess, exits: Iterator[int], event: ProcessExited, context: LaunchContext,
) -> list[Shutdown]:
    """End the graph where it must end; whatever else died is started again by `launch`."""
    ended = process.ends_graph and (event.returncode == 0 or not process.respawn)
    never_had = next(exits) == 0 and event.returncode == Unavailable.status
    if ended or never_had or event.returncode == InvalidInput.status:
        return [Shutdown(reason=f'{process.name} ended')]
    return []
