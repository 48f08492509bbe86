# SPDX-License-Identifier: Apache-2.0
"""
Warm start: continue an offline training with collectors, from its policy, critics and data.

The critics continue, half of each batch stays offline data (RLPD, Ball et al. 2023, section 4.1),
and updates begin after the policy has acted for `learning_starts` transitions (as in Zhou et al.
2024, 'Efficient Online Reinforcement Learning Fine-Tuning Need Not Retain Offline Data',
arXiv:2412.07762, section 5). Without these the first updates spoil the policy.
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
from rl_control.offline.load_dataset import DATASET
from rl_control.offline.run import REPORT

# Algorithms that can continue another one's training, besides itself; the first is the best.
CONTINUES_AS = {'td3_bc': ('td3_bc', 'td3')}
# Settings on which the meaning of weights and critics depends: taken from the checkpoint.
INHERITED = ('hidden_sizes', 'observation_normalisation', 'layer_norm', 'critics', 'gamma')


@dataclass(frozen=True)
class Start:
    """The `tensors` for `Agent.load`, their `settings`, and the path `data` of the dataset."""

    tensors: Mapping[str, Tensor]
    settings: AlgorithmSettings
    data: str


def start_from(
    directory: Path | str, algorithm: str, settings: AlgorithmSettings, contract: Contract,
) -> Start:
    """
    Return the start of `algorithm` from an offline training's `directory`.

    Its settings are `settings` with the checkpoint's INHERITED ones. Raise InvalidInput for
    another contract or algorithm, and where checkpoint or data are missing.
    """
    path = Path(directory)
    saved = checkpoint.latest(path / 'checkpoints')
    if saved is None:
        raise InvalidInput(
            f'start {path} has no intact checkpoint; name the directory of an rl-control '
            'offline training'
        )
    contract.require_equal(
        Contract.from_json(saved.state['contract']), 'this learner', f'start {path}')
    before = saved.state['algorithm']
    successors = CONTINUES_AS.get(before, (before,))
    if algorithm not in successors:
        raise InvalidInput(
            f'start {path} was trained by {before}, which continues as '
            f'{" or ".join(successors)}, but algorithm is {algorithm}; set {before}')
    saved_settings = {name: tuple(value) if isinstance(value, list) else value
                      for name, value in saved.state['settings'].items()}
    inherited = {name: saved_settings[name] for name in INHERITED
                 if name in saved_settings and hasattr(settings, name)}
    # Versions count the updates of this run.
    tensors = {**saved.tensors, 'updates': torch.tensor(0)}
    return Start(tensors, replace(settings, **inherited), str(_data(path)))


def _data(path: Path) -> Path:
    """Return the path of the dataset that the training used."""
    if (path / DATASET / DESCRIPTION).is_file():
        return path / DATASET
    try:
        data = Path(json.loads((path / REPORT).read_text())['data']['path'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f'start {path} has no valid {REPORT} ({type(error).__name__}: {error}); let '
            'rl-control offline finish'
        ) from error
    if not (data / DESCRIPTION).is_file():
        raise InvalidInput(
            f'start {path} was trained from {data}, which is missing; restore it'
        )
    return data
