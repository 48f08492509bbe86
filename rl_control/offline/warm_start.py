# SPDX-License-Identifier: Apache-2.0
"""
What a training with collectors goes on from: a policy, its critics and data of a training offline.

The critics go on from where they were, a half of each batch stays of the old data (RLPD, Ball et
al. 2023, section 4.1), and nothing is learned before the policy has acted for `learning_starts`
transitions (as in Zhou et al. 2024, 'Efficient Online Reinforcement Learning Fine-Tuning Need Not
Retain Offline Data', arXiv:2412.07762, section 5): without these the first updates spoil a policy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path

import torch
from torch import Tensor

from rl_control.bags.dataset import DESCRIPTION
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.config.algorithm import AlgorithmSettings
from rl_control.learning import checkpoint
from rl_control.offline.load_dataset import MADE
from rl_control.offline.run import REPORT

# As which algorithms one goes on, if not as itself alone; the first is the better one.
GOES_ON_AS = {'td3_bc': ('td3_bc', 'td3')}
# What weights mean, and what critics are the value of.
KEPT = ('hidden_sizes', 'observation_normalisation', 'layer_norm', 'critics', 'gamma')


@dataclass(frozen=True)
class Start:
    """`tensors` for the agent's `load`, `settings` that they are of, `data`, a dataset's path."""

    tensors: Mapping[str, Tensor]
    settings: AlgorithmSettings
    data: str


def start_from(
    directory: Path | str, algorithm: str, settings: AlgorithmSettings, contract: Contract,
) -> Start:
    """
    Return where `algorithm` with `settings` goes on from, once what `directory` has is theirs.

    Raise InvalidInput for another contract or algorithm, and where checkpoint or data are not
    there.
    """
    path = Path(directory)
    saved = checkpoint.latest(path / 'checkpoints')
    if saved is None:
        raise InvalidInput(
            f'start {path} has no whole checkpoint; name the directory that rl-control '
            'offline left'
        )
    contract.require_equal(
        Contract.from_json(saved.state['contract']), 'this learner', f'start {path}')
    before = saved.state['algorithm']
    known = GOES_ON_AS.get(before, (before,))
    if algorithm not in known:
        raise InvalidInput(f'start {path} was trained by {before}, which goes on as '
                      f'{" or ".join(known)}, but algorithm is {algorithm}; set {before}')
    there = {name: tuple(value) if isinstance(value, list) else value
             for name, value in saved.state['settings'].items()}
    kept = {name: there[name] for name in KEPT if name in there and hasattr(settings, name)}
    # Versions count the updates of this run.
    tensors = {**saved.tensors, 'updates': torch.tensor(0)}
    return Start(tensors, replace(settings, **kept), str(_data(path)))


def _data(path: Path) -> Path:
    """Return the dataset that was trained from."""
    if (path / MADE / DESCRIPTION).is_file():
        return path / MADE
    try:
        data = Path(json.loads((path / REPORT).read_text())['data']['path'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f'start {path} has no whole {REPORT} ({type(error).__name__}: {error}); let '
            'rl-control offline come to its end'
        ) from error
    if not (data / DESCRIPTION).is_file():
        raise InvalidInput(
            f'start {path} was trained from {data}, which is not there; bring it back'
        )
    return data
