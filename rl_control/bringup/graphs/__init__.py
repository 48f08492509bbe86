# SPDX-License-Identifier: Apache-2.0
"""
The node graphs: one description for `ros2 launch` and for `rl-control launch`.

A graph is a list of processes made from its arguments. Nothing here starts anything.
"""

from rl_control.bringup.arguments import (
    ALGORITHM,
    ARM,
    ARM_TOPICS,
    CONTROLLER,
    NAMESPACE,
    OUT,
    PARAMETERS,
    RANDOMIZATION,
    RECORD,
    ROBOT,
    SCENE,
    SEED,
    START,
    TASK,
    Argument,
)
from rl_control.bringup.graphs.deployment import deploy
from rl_control.bringup.graphs.training import offline, train_robot, train_sim
from rl_control.bringup.processes import Graph
from rl_control.common.errors import InvalidInput

GRAPHS = {
    'train_sim': Graph(
        'Train in simulation: one learner, one broadcaster, collectors, a monitor.',
        (
            ROBOT, TASK, RANDOMIZATION, ALGORITHM,
            Argument('collectors', '2', 'how many simulators collect'),
            OUT, PARAMETERS, RECORD, SEED, START,
            Argument('time_limit', '600.0', 'longest training in s; 0 for none'),
        ),
        train_sim,
    ),
    'train_robot': Graph(
        'Train on an arm: one learner, one broadcaster, a collector on the arm, a monitor.',
        (
            ARM, TASK, ALGORITHM,
            Argument('simulate', 'false', 'true: the simulator node stands in for the arm'),
            Argument('rate', '', "control rate in Hz; empty for the robot file's"),
            CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('wait_for_person', 'false',
                     'true: each episode waits for a call of collector/next'),
            Argument('reward', 'computed', 'computed, or topic: rewards are those on reward'),
            Argument('success', 'computed', 'computed, or topic: success is told on success'),
            Argument('evaluation_episodes', '10',
                     'episodes that score a version on the arm; 0 for no evaluations'),
            OUT, PARAMETERS, RECORD, SCENE, SEED, START,
            Argument('time_limit', '0.0', 'longest training in s; 0 for none'),
        ),
        train_robot,
    ),
    'deploy': Graph(
        'Run a policy against the simulator node, as against an arm, and score it.',
        (
            Argument('policy', '', 'path of the ONNX policy'),
            ARM, TASK, CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('simulate', 'true', 'false: the arm is real, and nobody gives goals'),
            Argument('shadow', 'false', 'true: command nothing, tell what would be done'),
            Argument('goals', '40', 'how many goals the evaluator gives'),
            Argument('seed', '1000', 'seed of the goals'),
            Argument('out', '', 'file for the figures; empty for none'), RECORD, SCENE,
        ),
        deploy,
    ),
    'offline': Graph(
        'Train from a bag, a dataset or the journal of a run; the same again goes on.',
        (
            Argument('data', '', 'dataset, bag, or directory of a run with its journal'),
            Argument('algorithm', 'iql', ALGORITHM.doc),
            Argument('updates', '50000', 'updates to make in all'),
            Argument('out', 'runs/offline', OUT.doc),
            SEED, PARAMETERS,
            Argument('robot', '', f"{ROBOT.doc}; needed for a robot's topics alone"),
            TASK,
            Argument('raw', 'false',
                     "true: the robot's topics even where transitions were recorded"),
        ),
        offline,
    ),
}


def graph(name: str) -> Graph:
    """Return the graph of that name; raise InvalidInput with the known ones."""
    if name not in GRAPHS:
        raise InvalidInput(f'graph {name!r} is not known; known are {", ".join(GRAPHS)}')
    return GRAPHS[name]
