# SPDX-License-Identifier: Apache-2.0
"""
Node graphs: one description for `ros2 launch` and for `rl-control launch`.

A graph is a list of processes built from its arguments; this package starts no process.
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
    SIMULATOR,
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
            ROBOT, TASK, SIMULATOR, RANDOMIZATION, ALGORITHM,
            Argument('collectors', '2', 'number of simulated collectors'),
            OUT, PARAMETERS, RECORD, SEED, START,
            Argument('time_limit', '600.0', 'longest training in s; 0: no limit'),
        ),
        train_sim,
    ),
    'train_robot': Graph(
        'Train on an arm: one learner, one broadcaster, a collector on the arm, a monitor.',
        (
            ARM, TASK, ALGORITHM,
            Argument('simulate', 'false', 'true: the simulator node replaces the arm; or the '
                     'physics engine of that node, pybullet or mujoco'),
            Argument('rate', '', 'control rate in Hz; empty: that of the robot file'),
            CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('wait_for_person', 'false',
                     'true: each episode waits for a call of collector/next'),
            Argument('reward', 'computed', 'computed, or topic: rewards from the topic reward'),
            Argument('success', 'computed', 'computed, or topic: success from the topic success'),
            Argument('evaluation_episodes', '10',
                     'episodes of one evaluation on the arm; 0: no evaluations'),
            OUT, PARAMETERS, RECORD, SCENE, SEED, START,
            Argument('time_limit', '0.0', 'longest training in s; 0: no limit'),
        ),
        train_robot,
    ),
    'deploy': Graph(
        'Run a policy on an arm, or on the simulator node with an evaluator that scores it.',
        (
            Argument('policy', '', 'path of the ONNX policy'),
            ARM, TASK, CONTROLLER, *ARM_TOPICS, NAMESPACE,
            Argument('simulate', 'true', 'false: a real arm, without simulator and evaluator; or '
                     'the physics engine of the simulator node, pybullet or mujoco'),
            Argument('shadow', 'false', 'true: command nothing, publish the commands as a shadow'),
            Argument('goals', '40', 'number of goals of the evaluator'),
            Argument('seed', '1000', 'seed of the goals'),
            Argument('out', '', 'file for the figures; empty: none'), RECORD, SCENE,
        ),
        deploy,
    ),
    'offline': Graph(
        'Train from a bag, a dataset or the journal of a run; run it again to resume.',
        (
            Argument('data', '', 'dataset, bag, or directory of a run with its journal'),
            Argument('algorithm', 'iql', ALGORITHM.doc),
            Argument('updates', '50000', 'updates to make in all'),
            Argument('out', 'runs/offline', OUT.doc),
            SEED, PARAMETERS,
            Argument('robot', '', f"{ROBOT.doc}; required only for a bag of a robot's topics"),
            TASK,
            Argument('raw', 'false',
                     "true: use the robot's topics even where transitions were recorded"),
        ),
        offline,
    ),
}


def graph(name: str) -> Graph:
    """Return the graph `name`; raise InvalidInput with the known names."""
    if name not in GRAPHS:
        raise InvalidInput(f'graph {name!r} is not known; known are {", ".join(GRAPHS)}')
    return GRAPHS[name]
