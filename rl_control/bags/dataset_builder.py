# SPDX-License-Identifier: Apache-2.0
"""Build a dataset from bags: recorded transitions as they are, robot topics by resampling."""

from collections.abc import Callable, Iterator, Sequence
import json
from pathlib import Path
from typing import Any

import numpy as np

from rl_control.bags.bag_info import compare_counts
from rl_control.bags.bag_reader import Bag
from rl_control.bags.dataset import DatasetWriter
from rl_control.bags.joined_bags import join_runs
from rl_control.bags.recorded_transitions import Rows, own_topics, read_episodes
from rl_control.bags.resampling import Sampled, Sampler
from rl_control.bags.robot_topics import RobotTopics
from rl_control.bags.sampling_report import sampling_report
from rl_control.bags.state_checks import StateChecks
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.files import config_directory
from rl_control.config.sampling import SamplingSettings
from rl_control.environments.arm_model import Arm
from rl_control.environments.make import NamedRobot, load_arm, load_task
from rl_control.transport.table import decode_table_cdr
from rl_control.transport.transition_rows import EVALUATION, TRAINING, Origin, TransitionRows

BATCH = 1024
PHASES = {TRAINING: 'training', EVALUATION: 'evaluation'}


def open_bags(paths: Sequence[Path | str]) -> list[Bag]:
    """Return the opened bags; raise InvalidInput where a path is no bag or is given twice."""
    seen: set[Path] = set()
    for path in paths:
        if (resolved := Path(path).expanduser().resolve()) in seen:
            raise InvalidInput(f'bag {path} is given twice; name each bag once')
        seen.add(resolved)
    return [Bag(path) for path in paths]


def from_tables(bags: Sequence[Bag], contract: Contract, writer: DatasetWriter) -> dict[str, Any]:
    """Write the rows of the `transitions` topics, each once; return the report."""
    rows = Rows(contract)
    for bag in bags:
        topics = own_topics(bag, 'transitions')
        if not topics:
            raise InvalidInput(
                f'bag {bag.path} has no topic transitions; make transitions from the '
                "robot's topics with --raw"
            )
        read = 0
        for raw in bag.messages(topics, ordered=False):
            read += 1
            for run, fresh in rows.take(raw, bag.losses):
                writer.add(run, fresh)
        if len(topics) == 1:
            compare_counts(bag, {topics[0]: read})
    for run, fresh in rows.finish():
        writer.add(run, fresh)
    return {
        'kind': 'transitions as recorded',
        'transitions': writer.rows,
        **rows.figures(),
        'episodes': _episodes(bags),
        'bags': [{'bag': str(bag.path), 'losses': bag.losses.figures()} for bag in bags],
    }


def from_robot(
    bags: Sequence[Bag], arm: Arm, settings: SamplingSettings, writer: DatasetWriter,
) -> dict[str, Any]:
    """
    Write transitions resampled from a robot's topics; return the report.

    Bags of states and bags of commands are joined where they were received at the same time.
    """
    bags = join_runs(bags, settings)
    found = [RobotTopics.find(bag, arm, settings) for bag in bags]
    reports, episodes = [], 0
    names = [bag.name for bag in bags]
    for number, (bag, topics) in enumerate(zip(bags, found, strict=True)):
        name = names[number] if names.count(names[number]) == 1 else f'{number}:{names[number]}'
        checks = StateChecks(arm, topics.clock.pace)
        with bag.losses.muted():
            checks.look(topics.events())
        sampler = Sampler(arm, settings, commanded=topics.command is not None,
                          first_episode=episodes, checks=checks)
        before = writer.rows
        for batch in _batches(sampler.sample(checks.checked(topics.events())), BATCH):
            writer.add(name, *_arrays(batch))
        reports.append(sampling_report(
            bag, topics, checks, sampler, writer.rows - before, episodes))
        episodes = sampler.episodes
    ticks = sum(report['ticks'] for report in reports)
    return {
        'kind': "resampled from a robot's topics",
        'transitions': writer.rows,
        'share': writer.rows / max(1, ticks),
        'episodes': episodes,
        'bags': reports,
    }


def _episodes(bags: Sequence[Bag]) -> dict[str, dict[str, float | None]]:
    """Return number, success rate and mean return of the recorded episodes by phase."""
    found: dict[str, list[tuple[bool | None, float]]] = {}
    seen: set[tuple[str, int, int]] = set()
    for bag in bags:
        for run, row in read_episodes(bag):
            if (key := (run, row.episode, row.phase)) not in seen:
                seen.add(key)
                phase = PHASES.get(row.phase, 'confirmation')
                found.setdefault(phase, []).append((row.succeeded, row.episode_return))
    return {
        phase: {'number': len(rows),
                'success_rate': _mean([row[0] for row in rows if row[0] is not None]),
                'mean_return': _mean([row[1] for row in rows])}
        for phase, rows in found.items()
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _batches(items: Iterator[Sampled], size: int) -> Iterator[list[Sampled]]:
    batch: list[Sampled] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _arrays(batch: list[Sampled]) -> tuple[TransitionRows, dict[str, np.ndarray]]:
    """Return resampled transitions as columns, and their ticks and ages."""
    rows = [item.transition for item in batch]

    def column(name: str, kind: type = float) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows], dtype=kind)

    taken = TransitionRows(
        **{name: column(name, np.int64) for name in ('episode', 'step', 'version')},
        **{name: column(name, bool) for name in ('terminated', 'truncated', 'intervention')},
        **{name: column(name) for name in (
            'stamp', 'log_prob', 'reward', 'observation', 'action', 'applied',
            'next_observation')})
    extra = {name: np.array([getattr(item, name) for item in batch])
             for name in ('tick', 'state_age', 'next_state_age', 'command_age')}
    return taken, extra


RUN = 'run.json'  # written by a learner beside its journal


def make_dataset(
    bags: Sequence[Bag],
    output: Path | str,
    robot: NamedRobot,
    settings: SamplingSettings,
    raw: bool,
    on_report: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], str]:
    """
    Write the transitions of the bags to a new dataset; return the report and the digest.

    If no `robot` is named the contract is that of the recording. `on_report` gets the report
    before an empty dataset raises InvalidInput, as unusable bags do.
    """
    own = is_own(bags, raw)
    arm = None if own else _require_arm(robot)
    contract = robot.contract if robot.robot else recorded_contract(bags[0])
    with DatasetWriter(output, contract) as writer:
        if arm is None:
            report = from_tables(bags, contract, writer)
        else:
            report = from_robot(bags, arm, settings, writer)
        on_report(report)
        digest = writer.finish(source_of(bags, robot, settings, raw), report)
    return report, digest


def source_of(
    bags: Sequence[Bag], robot: NamedRobot, settings: SamplingSettings, raw: bool,
) -> dict[str, Any]:
    """Return the provenance of a dataset of these bags, normalised by JSON."""
    return json.loads(json.dumps({
        'bags': [{'path': str(bag.path), 'bytes': bag.size} for bag in bags],
        'robot': robot.robot,
        'task': robot.task,
        'settings': None if is_own(bags, raw) else settings.to_mapping(),
    }))


def is_own(bags: Sequence[Bag], raw: bool) -> bool:
    """Return True if the bags are read as this package's tables, not as a robot's topics."""
    return not raw and all(own_topics(bag, 'transitions') for bag in bags)


def recorded_contract(bag: Bag) -> Contract:
    """
    Return the contract of a bag of transitions, which itself contains only the hash.

    Searched are the run beside the bag and the packaged robots. Raise InvalidInput if none fits.
    """
    wanted = _recorded_hash(bag)
    for path in (bag.path / RUN, bag.path.parent / RUN):
        if path.is_file():
            try:
                contract = Contract.from_json(json.loads(path.read_bytes())['contract'])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # a file of that name need not be of a run
            if contract.hash == wanted:
                return contract
    first, *others = sorted(path.stem for path in (config_directory() / 'tasks').glob('*.yaml'))
    for robot in sorted(path.stem for path in (config_directory() / 'robots').glob('*.yaml')):
        arm = load_arm(robot, first)
        for candidate in (arm, *(arm.with_task(load_task(task)) for task in others)):
            contract = candidate.contract()
            if contract.hash == wanted:
                return contract
    raise InvalidInput(f'bag {bag.path} was recorded with contract {wanted[:12]}, which no '
                  'packaged robot has; name the robot and the task of the recording')


def _recorded_hash(bag: Bag) -> str:
    peeked = Bag(bag.path)  # its losses are counted when the rows are read
    for raw in peeked.messages(own_topics(bag, 'transitions'), ordered=False):
        try:
            return Origin.from_header(decode_table_cdr(raw.data, None).header).contract_hash
        except InvalidInput:
            continue
    raise InvalidInput(f'bag {bag.path} has no transitions that can be read; give another bag')


def _require_arm(robot: NamedRobot) -> Arm:
    """Return the arm whose topics are resampled; raise InvalidInput if `robot` has none."""
    if not robot.robot:
        raise InvalidInput(
            "a robot's topics do not name the robot; give --robot and --task"
        )
    if robot.arm is None:
        raise InvalidInput(
            f'{robot.robot} has no joints to resample; give bags with a topic transitions')
    return robot.arm
