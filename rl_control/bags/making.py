# SPDX-License-Identifier: Apache-2.0
"""A dataset on disk, made of bags of either kind."""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
from typing import Any

from rl_control.arm import Arm
from rl_control.bags.building import from_robot, from_tables
from rl_control.bags.dataset import DatasetWriter
from rl_control.bags.reading import Bag
from rl_control.bags.settings import SamplingSettings
from rl_control.bags.tables import own_topics
from rl_control.config.files import config_directory
from rl_control.environments.make import GYMNASIUM, load_arm, make_environment
from rl_control.errors import Refused
from rl_control.ros.rows import Origin
from rl_control.ros.table import decode_table_cdr
from rl_control.types import Contract

TASK = 'reach'  # where none is named
RUN = 'run.json'  # what a learner leaves beside its journal


def make_dataset(
    bags: Sequence[Bag],
    output: Path | str,
    robot: str,
    task: str,
    settings: SamplingSettings,
    raw: bool,
    tell: Callable[[dict[str, Any]], None],
) -> tuple[dict[str, Any], str]:
    """
    Write the transitions of the bags to a new dataset; return the report and the digest.

    Without `robot` the contract is that of the recording. `tell` gets the report before the
    dataset is refused for having no transitions. Raise Refused for what cannot be used.
    """
    own = is_own(bags, raw)
    arm: Arm | None = None
    if own and not robot:
        contract = recorded_contract(bags[0])
    else:
        contract, arm = _named(robot, task, own)
    with DatasetWriter(output, contract) as writer:
        if arm is None or own:
            report = from_tables(bags, contract, writer)
        else:
            report = from_robot(bags, arm, settings, writer)
        tell(report)
        digest = writer.finish(source_of(bags, robot, task, settings, raw), report)
    return report, digest


def source_of(
    bags: Sequence[Bag], robot: str, task: str, settings: SamplingSettings, raw: bool,
) -> dict[str, Any]:
    """Return what a dataset of these bags says of where it is from, as JSON gives it back."""
    return json.loads(json.dumps({
        'bags': [{'path': str(bag.path), 'bytes': bag.size} for bag in bags],
        'robot': robot,
        'task': task,
        'settings': None if is_own(bags, raw) else settings.to_mapping(),
    }))


def is_own(bags: Sequence[Bag], raw: bool) -> bool:
    """Say whether the bags are read as our own topics, not as a robot's."""
    return not raw and all(own_topics(bag, 'transitions') for bag in bags)


def recorded_contract(bag: Bag) -> Contract:
    """
    Return the contract of a bag of our own topics, which itself holds only the hash.

    It is that of the run beside the bag, or of a packaged robot. Raise Refused for another.
    """
    wanted = _recorded_hash(bag)
    for path in (bag.path / RUN, bag.path.parent / RUN):
        if path.is_file():
            try:
                contract = Contract.from_json(json.loads(path.read_bytes())['contract'])
            except (OSError, ValueError, KeyError, TypeError):
                continue  # what lies beside a bag need not be a run
            if contract.hash == wanted:
                return contract
    for robot in sorted((config_directory() / 'robots').glob('*.yaml')):
        for task in sorted((config_directory() / 'tasks').glob('*.yaml')):
            contract = load_arm(robot.stem, task.stem).contract()
            if contract.hash == wanted:
                return contract
    raise Refused(f'bag {bag.path} was recorded with contract {wanted[:12]}, which is of no '
                  'packaged robot; name the robot and the task of the recording')


def _recorded_hash(bag: Bag) -> str:
    peeked = Bag(bag.path)  # what is amiss is counted when the rows are read
    for raw in peeked.messages(own_topics(bag, 'transitions'), ordered=False):
        try:
            return Origin.from_header(decode_table_cdr(raw.data, None).header).contract_hash
        except Refused:
            continue
    raise Refused(f'bag {bag.path} has no transitions that can be read; give another bag')


def _named(robot: str, task: str, own: bool) -> tuple[Contract, Arm | None]:
    """Return the contract, and the arm where it has joints."""
    if not robot:
        raise Refused("a robot's topics do not say whose they are; name the robot and the task")
    if robot.startswith(GYMNASIUM):
        if not own:
            raise Refused(f'{robot} has no joints to sample; give bags of transitions')
        environment = make_environment(robot, '')
        environment.close()
        return environment.contract, None
    arm = load_arm(robot, task or TASK)
    return arm.contract(), arm
