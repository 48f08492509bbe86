# SPDX-License-Identifier: Apache-2.0
"""
Minari: export datasets for d3rlpy, TorchRL and others, and import theirs.

An exported dataset carries its contract, so that it is imported unchanged. Another dataset is
described by its spaces.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
import json
import logging
from typing import Any

import numpy as np

from rl_control.bags.dataset import ROW_FIELDS, Dataset, pieces, require_finite
from rl_control.bags.minari_store import new_folder, require_name
from rl_control.bags.resampling import BEYOND
from rl_control.common.errors import InvalidInput
from rl_control.common.types import Contract
from rl_control.transport.transition_rows import TransitionRows

logger = logging.getLogger(__name__)

CONTRACT = 'rl_control_contract'
INCOMPLETE = 'its episode has another number of observations, rewards or ends than actions'
ROUNDING = 1e-6  # of the range of an action, which may lie that much beyond its bounds
# Columns that an episode of Minari can only store as infos.
CARRIED = ('stamp', 'version', 'log_prob', 'applied', 'intervention', 'episode', 'step')


def _minari() -> Any:
    try:
        import h5py  # noqa: F401  Minari would fail without it only after writing
        import minari
    except ImportError as error:
        raise _missing(error) from error
    return minari


def _missing(error: ImportError) -> InvalidInput:
    return InvalidInput(f"Minari is not installed ({error}); pip install 'minari[hdf5]'")


def export_minari(dataset: Dataset, name: str) -> int:
    """
    Write the dataset to Minari as `name`; return the number of episodes.

    Raise InvalidInput for another name than NAMESPACE/NAME-vN, for one that exists, and where
    Minari cannot write; nothing of it stays then.
    """
    require_name(name)
    minari = _minari()
    from gymnasium.spaces import Box

    contract = dataset.contract
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    buffers = [_episode(minari, dataset, chosen) for chosen in episodes(dataset)]
    try:
        with new_folder(minari.storage.get_dataset_path(), name):
            made = minari.create_dataset_from_buffers(
                name, buffers,
                observation_space=Box(-np.inf, np.inf, (len(contract.observation),), np.float64),
                action_space=Box(low, high, dtype=np.float64),
                algorithm_name='recorded', data_format='hdf5', requirements=[],
                description=f'{contract.robot}, {contract.task}: {dataset.digest}')
            made.storage.update_metadata(
                {CONTRACT: contract.to_json(), **_environment_metadata(contract)})
    except ImportError as error:
        raise _missing(error) from error
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise InvalidInput(
            f'Minari cannot write {name!r} ({error}); nothing of it stays. See that its folder '
            'can be written and has room') from error
    return len(buffers)


def _environment_metadata(contract: Contract) -> dict[str, str]:
    """Return what Minari makes the environment of the dataset by; {} and a warning without."""
    from rl_control.bags.minari_environment import specification

    try:
        return {'env_spec': specification(contract).to_json()}
    except (InvalidInput, ValueError, TypeError) as error:  # of to_json: a callable in it
        logger.warning('exported without an environment, which d3rlpy.datasets.get_minari and '
                       'recover_environment need: %s', error)
        return {}


def episodes(dataset: Dataset) -> Iterator[np.ndarray]:
    """
    Return the indices (k,) of the rows of each exported episode.

    As `pieces`, but split also where a row does not begin at the end of the row before, as at
    another goal: Minari stores one observation for both.
    """
    rows = dataset.rows
    for piece in pieces(dataset):
        meets = (rows.observation[piece[1:]] == rows.next_observation[piece[:-1]]).all(axis=1)
        yield from np.split(piece, np.flatnonzero(~meets) + 1)


def _episode(minari: Any, dataset: Dataset, chosen: np.ndarray) -> Any:
    rows = dataset.rows
    truncated = rows.truncated[chosen]
    truncated &= ~rows.terminated[chosen]  # d3rlpy takes one of the two at a time
    truncated[-1] |= not rows.terminated[chosen[-1]]  # the recording ends here
    infos = {name: getattr(rows, name)[chosen] for name in CARRIED}
    infos['stream'] = dataset.stream[chosen]
    infos['truncated'] = rows.truncated[chosen]
    return minari.data_collector.EpisodeBuffer(
        observations=np.vstack(
            (rows.observation[chosen], rows.next_observation[chosen[-1:]])),
        actions=rows.action[chosen],
        rewards=rows.reward[chosen],
        terminations=rows.terminated[chosen],
        truncations=truncated,
        # Minari has one info per observation: one more than there are steps.
        infos={name: np.concatenate((values, values[-1:])) for name, values in infos.items()},
    )


def import_minari(name: str) -> Dataset:
    """
    Return a local Minari dataset; raise InvalidInput unless its spaces are vectors.

    `report` has in `differences`, in sentences, how it differs from its environment.
    """
    require_name(name)
    minari = _minari()
    try:
        found = minari.load_dataset(name)
        metadata = found.storage.metadata
    except (ValueError, OSError, KeyError) as error:
        raise InvalidInput(
            f'Minari has no dataset {name!r} here ({error}); see minari list local, '
            'or minari download'
        ) from error
    if CONTRACT in metadata:
        contract, differences = Contract.from_json(metadata[CONTRACT]), []
    else:
        from rl_control.bags.minari_environment import contract_of

        contract, differences = contract_of(
            name, found.spec.observation_space, found.spec.action_space, found.spec.env_spec)
    foreign = CONTRACT not in metadata
    joined, refused, open_ends = _join(found.iterate_episodes(), contract, foreign)
    if not len(joined['stream']):
        why = ', '.join(f'{count} rows: {reason}' for reason, count in refused.items())
        raise InvalidInput(
            f'Minari dataset {name!r} has no usable rows ({why or "no episodes"}); choose another')
    if open_ends:
        differences.append(f'{open_ends} episodes end neither terminated nor truncated; they are '
                           'taken as truncated there')
    stream = joined.pop('stream')
    rows = TransitionRows(**joined)
    require_finite(rows, f'Minari dataset {name!r}')
    return Dataset(
        contract, rows, stream,
        tuple(f'{name}:{number}' for number in range(int(stream.max()) + 1)),
        source={'minari': name, 'metadata': json.loads(json.dumps(metadata, default=str))},
        report={'kind': 'imported from Minari', 'transitions': len(stream),
                'refused': dict(refused), 'differences': differences})


def _join(
    found: Iterable[Any], contract: Contract, foreign: bool,
) -> tuple[dict[str, np.ndarray], Counter[str], int]:
    """
    Return the columns of all usable rows, counts of the others by reason, and of open ends.

    Rows of `foreign` datasets need actions within the contract's bounds, and their episodes an
    end: the last row is made truncated where there is none.
    """
    low, high = np.array(contract.action_low), np.array(contract.action_high)
    slack = ROUNDING * (high - low)
    parts, refused, open_ends = [], Counter[str](), 0
    for episode in found:
        if not _complete(episode, contract):
            refused[INCOMPLETE] += len(episode.actions)
            continue
        part = _rows(episode, contract)
        if foreign and len(part['step']):
            if not part['terminated'][-1] and not part['truncated'][-1]:
                part['truncated'][-1] = True
                open_ends += 1
            # NaN is left for `require_finite`, which names it.
            beyond = ((part['action'] < low - slack) | (part['action'] > high + slack)).any(axis=1)
            if beyond.any():
                refused[BEYOND] += int(beyond.sum())
                part = {key: values[~beyond] for key, values in part.items()}
        parts.append(part)
    if not parts:
        return {'stream': np.zeros(0, np.int64)}, refused, open_ends
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return joined, refused, open_ends


def _complete(episode: Any, contract: Contract) -> bool:
    """Return True where an episode of n actions (n, a) has n + 1 observations, n of the others."""
    n = len(episode.actions)
    return (
        np.shape(episode.actions) == (n, len(contract.action))
        and np.shape(episode.observations) == (n + 1, len(contract.observation))
        and all(np.shape(values) == (n,) for values in (
            episode.rewards, episode.terminations, episode.truncations)))


def _rows(episode: Any, contract: Contract) -> dict[str, np.ndarray]:
    observations, actions = np.asarray(episode.observations), np.asarray(episode.actions)
    n, infos = len(actions), episode.infos or {}
    carried = {key: np.asarray(infos[key])[:n] for key in (*CARRIED, 'stream', 'truncated')
            if key in infos and len(infos[key]) >= n}
    columns = {
        'stamp': contract.control_period * np.arange(1, n + 1), 'version': np.full(n, -1),
        'log_prob': np.full(n, np.nan), 'applied': actions, 'intervention': np.zeros(n, bool),
        'episode': np.full(n, episode.id), 'step': np.arange(n),
        'stream': np.zeros(n, np.int64), 'truncated': np.asarray(episode.truncations),
    }
    # Infos of another origin may use some of these names: accept all columns or none.
    if len(carried) == len(columns):
        columns = carried
    found = columns | {
        'observation': observations[:-1], 'next_observation': observations[1:],
        'action': actions, 'reward': np.asarray(episode.rewards),
        'terminated': np.asarray(episode.terminations),
    }
    whole, said = ('episode', 'step', 'version', 'stream'), (
        'terminated', 'truncated', 'intervention')
    return {
        key: np.array(found[key], dtype=np.int64 if key in whole else
                      bool if key in said else np.float64)
        for key in (*ROW_FIELDS, 'stream')
    }
