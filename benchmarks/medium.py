# SPDX-License-Identifier: Apache-2.0
"""
Medium recording for offline training: a behaviour policy of about 50 % success.

A training runs as a graph and records itself. Of the recorded versions, the one whose exploring
episodes have the success rate nearest to `--success` then explores on a PyBullet arm for
`--transitions`. It is recorded twice in one bag: as `transitions` and `episodes`, and as an arm's
topics alone: `joint_states` at the rate of the physics, `joint_trajectory` and `goal`, in
simulated time. Each stage is skipped where its result exists.
"""

import argparse
from array import array
import json
from pathlib import Path
import sys
from types import SimpleNamespace

import numpy as np
from rclpy.serialization import deserialize_message
from rosbags.typesys import Stores, get_typestore

from rl_control.bags.bag_reader import Bag
from rl_control.bringup.graphs import graph
from rl_control.bringup.run_graph import graph_environment, run_graph
from rl_control.collection.collector import Collector, EpisodeEnd
from rl_control.common.files import write_json
from rl_control.config.nodes import CollectorSettings
from rl_control.control.stop_trajectory import Plan
from rl_control.environments.make import load_arm, simulate
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.ros import codec
from rl_control.ros.journal import Journal

STORE = get_typestore(Stores.LATEST)
START = 1_700_000_000_000_000_000
GAP = 2_000_000_000  # ns between two sets of episodes, at which the arm is reset
DELAY = 1e-3  # s from a state to its command
TRIAL = 60  # episodes by which versions are compared


def as_described(message):
    """Return an rclpy message as one of rosbags, which serializes it to its exact length."""
    values = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, 'get_fields_and_field_types'):
            value = as_described(value)
        elif isinstance(value, list):
            value = [as_described(part) if hasattr(part, 'get_fields_and_field_types') else part
                     for part in value]
        elif isinstance(value, array):
            value = np.array(value)
        values[name] = value
    return STORE.types[codec.type_name(type(message))](**values)


class Recording:
    """An arm that is recorded both as its topics and as a collector's transitions."""

    def __init__(self, directory: Path, robot: str, name: str) -> None:
        self.arm = load_arm(robot, 'reach')
        self.world = simulate(self.arm)
        self.journal = Journal(directory, name)
        self.contract = self.world.contract
        self.run = f'{name}-{robot}'
        self.columns = codec.transition_columns(self.contract)
        self.rows, self.first, self.episodes, self.successes = [], 0, 0, 0
        self.offset = START  # ns: origin of simulated time
        self.robot = self.world._robot
        self._record_arm()

    def _record_arm(self) -> None:
        """Record each substep of the arm, and each command as it would be sent to an arm."""
        robot, world, arm = self.robot, self.world, self.arm
        writer = codec.TrajectoryWriter(arm.settings.joint_names)
        track, send, reset, restart = robot.track, robot.send, robot.reset, world.reset

        def tracked(setpoints):
            for setpoint in setpoints:
                track([setpoint])
                self._tell_state()

        def sent(command):
            plan = Plan.of(command, arm.control_period - DELAY, arm.limits)
            trajectory = deserialize_message(
                writer.write(plan.times, plan.points), codec.Trajectory)
            self._write('/joint_trajectory', trajectory, round(DELAY * 1e9))
            send(command)

        def elsewhere(q):
            reset(q)
            self.offset += GAP
            self._tell_state()

        def begun(rng):
            observation = restart(rng)
            self._write('/goal', codec.goal_message(world._state.goal, 'world'))
            return observation

        robot.track, robot.send, robot.reset, world.reset = tracked, sent, elsewhere, begun

    def _tell_state(self) -> None:
        stamp, q, dq = self.robot.read()
        self._write('/joint_states', codec.joint_state(
            self.arm.settings.joint_names, self.offset * 1e-9 + stamp, q, dq))

    def _write(self, topic, message, later: int = 0) -> None:
        at = self.offset + round(self.robot.read()[0] * 1e9) + later
        kind = codec.type_name(type(message))
        data = bytes(STORE.serialize_cdr(as_described(message), kind))
        self.journal.write(topic, kind, data, at)

    def _table(self, topic, columns, rows, first) -> None:
        origin = codec.Origin('medium', self.run, self.contract.hash, first, first)
        self._write(topic, codec.encode_table(
            codec.Table(columns, np.array(rows), origin.to_header())))

    def send(self, transition) -> None:
        """Add a transition; 64 of them are one message."""
        self.rows.append(codec.transition_row(transition))
        if len(self.rows) == 64:
            self.flush()

    def flush(self) -> None:
        """Write the remaining transitions."""
        if self.rows:
            self._table('/transitions', self.columns, self.rows, self.first)
            self.first, self.rows = self.first + len(self.rows), []
        self.journal.flush()

    def send_episode(self, end) -> None:
        """Write the end of an episode."""
        episode, outcome = end.episode, end.outcome
        row = codec.EpisodeRow(
            episode.number, episode.reward_sum, episode.steps, float(outcome.success),
            end.version, end.phase, outcome.stamp, *outcome.goal, outcome.error)
        self._table('/episodes', codec.EPISODE_COLUMNS, [row.to_row()], self.episodes)
        self.episodes += 1
        self.successes += outcome.success


def train(out: Path, robot: str, seed: int, seconds: float) -> None:
    """Train in simulation, recording everything."""
    if (out / 'training.json').is_file():
        return
    print('training, and recording it', flush=True)
    status = run_graph(graph('train_sim').processes({
        'robot': robot, 'out': str(out), 'seed': str(seed), 'time_limit': str(seconds),
        'record': 'true'}), graph_environment(), out / 'logs')
    if not (out / 'training.json').is_file():
        sys.exit(f'training ended with status {status}; see {out / "logs"}')


def behave(policy: OnnxPolicy, robot: str, episodes: int, seed: int) -> float:
    """Return the success rate of exploring episodes."""
    world, successes = simulate(load_arm(robot, 'reach')), []

    def count(end: EpisodeEnd) -> None:
        successes.append(end.outcome.success)
        if len(successes) >= episodes:
            collector.stopped.set()

    collector = Collector(
        world, CollectorSettings(seed=seed),
        SimpleNamespace(send=lambda transition: None, send_episode=count))
    collector.policy = policy
    collector.run()
    world.close()
    return float(np.mean(successes))


def choose(recording: Path, robot: str, wanted: float, trial: int = TRIAL) -> bytes:
    """Return the recorded policy with a success rate nearest to `wanted`, by bisection."""
    policies = [codec.decode_policy(deserialize_message(bytes(raw.data), codec.Policy))
                for raw in Bag(recording).messages(['/policy/latest'])]
    low, high = 0, len(policies) - 1
    best: tuple[float, int] = (2.0, 0)
    while low <= high:
        middle = (low + high) // 2
        rate = behave(OnnxPolicy(policies[middle][0]), robot, trial, 77)
        print(f'version {policies[middle][2]}: {rate:.2f} of {trial} exploring episodes',
              flush=True)
        best = min(best, (abs(rate - wanted), middle))
        low, high = (middle + 1, high) if rate < wanted else (low, middle - 1)
    return policies[best[1]][0]


def record(out: Path, robot: str, policy: OnnxPolicy, transitions: int, seed: int) -> dict:
    """Record `transitions` of an exploring policy into the bag `out`; return the account."""
    recording = Recording(out, robot, 'medium')
    count = 0

    def send(transition):
        nonlocal count
        recording.send(transition)
        count += 1
        if count >= transitions:
            collector.stopped.set()
        if count % 2000 == 0:
            print(f'{count} of {transitions} transitions', flush=True)

    collector = Collector(
        recording.world, CollectorSettings(seed=seed),
        SimpleNamespace(send=send, send_episode=recording.send_episode))
    collector.policy = policy
    collector.run()
    recording.flush()
    recording.journal.close()
    recording.world.close()
    return {'version': policy.version, 'transitions': count, 'episodes': recording.episodes,
            'successes': int(recording.successes),
            'success_rate': recording.successes / recording.episodes}


def make(out: Path, robot: str, seed: int, seconds: float, wanted: float, count: int) -> dict:
    """Make the missing stages in `out`; return the account of the medium recording."""
    account = out / 'medium.json'
    if account.is_file():
        return json.loads(account.read_text())
    train(out / 'training', robot, seed, seconds)
    policy = out / 'medium.onnx'
    if not policy.is_file():
        OnnxPolicy(choose(out / 'training' / 'recording', robot, wanted)).save(policy)
    for left in (out / 'medium').glob('*'):
        left.unlink()
    told = record(out / 'medium', robot, OnnxPolicy(policy.read_bytes()), count, 5000 + seed)
    write_json(account, told)
    return told


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `make` to `parser`."""
    parser.add_argument('--out', type=Path, required=True, help='directory; resumed if there')
    parser.add_argument('--robot', default='iiwa')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--seconds', type=float, default=240.0, help='longest training')
    parser.add_argument('--success', type=float, default=0.5, help='wanted of the behaviour')
    parser.add_argument('--transitions', type=int, default=20_000)


def main() -> None:
    """Make the recording and print its account."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    add_arguments(parser)
    options = parser.parse_args()
    print(json.dumps(make(options.out, options.robot, options.seed, options.seconds,
                          options.success, options.transitions), indent=2))


if __name__ == '__main__':
    main()
