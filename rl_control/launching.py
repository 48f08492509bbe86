# SPDX-License-Identifier: Apache-2.0
"""Turn a graph into a launch description; needs ROS 2's `launch` and `launch_ros`."""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, Shutdown
from launch_ros.actions import Node

from launch import LaunchContext, LaunchDescription
from rl_control.graph import Graph, NodeProcess, graph


def describe(name: str) -> LaunchDescription:
    """Return the launch description of the graph `name`."""
    chosen = graph(name)
    return LaunchDescription([
        *(DeclareLaunchArgument(argument.name, default_value=argument.default,
                                description=argument.doc)
          for argument in chosen.arguments),
        OpaqueFunction(function=_nodes, args=[chosen]),
    ])


def _nodes(context: LaunchContext, chosen: Graph) -> list[Node]:
    given = {argument.name: context.launch_configurations[argument.name]
             for argument in chosen.arguments}
    return [_node(process) for process in chosen.processes(given)]


def _node(process: NodeProcess) -> Node:
    return Node(
        package='rl_control',
        executable=process.executable,
        name=process.name,
        output='screen',
        parameters=[*map(str, process.parameter_files), dict(process.parameters)],
        on_exit=[Shutdown()] if process.ends_graph else None,
    )
