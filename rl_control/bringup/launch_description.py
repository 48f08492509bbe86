# SPDX-License-Identifier: Apache-2.0
"""Launch description of a graph; needs ROS 2's `launch` and `launch_ros`."""

from collections.abc import Iterator
from functools import partial
from itertools import count

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch.events.process import ProcessExited
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from rl_control.bringup.graphs import graph
from rl_control.bringup.processes import Graph, NodeProcess
from rl_control.bringup.run_record import save_run_record
from rl_control.common.errors import InvalidInput, Unavailable

RESPAWN_DELAY = 2.0  # s; constant, since `launch` has no backoff


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
    save_run_record(name, given, processes)
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
    """Shut the graph down where a restart does not help; else `launch` respawns the process."""
    ended = process.ends_graph and (event.returncode == 0 or not process.respawn)
    unavailable_at_start = next(exits) == 0 and event.returncode == Unavailable.status
    if ended or unavailable_at_start or event.returncode == InvalidInput.status:
        return [Shutdown(reason=f'{process.name} ended')]
    return []
