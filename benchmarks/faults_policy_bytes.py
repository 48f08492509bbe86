# SPDX-License-Identifier: Apache-2.0
"""
Fuzz a policy file, with its original digest and with a recomputed digest.

With the original digest every damaged message must be rejected before it is parsed. With a
recomputed one, which no accident makes, files are opened in child processes: none may crash, and
accepted files that act differently on new inputs are counted, since test vectors cannot find all.
Exits with 1 for a crash, or if a damaged file with its original digest was accepted.
"""

import argparse
from collections import Counter
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile

import numpy as np

from rl_control.common.errors import InvalidInput
from rl_control.policies.onnx_policy import OnnxPolicy
from rl_control.ros import codec

BATCH = 1000  # files a child opens
PROBES = 32
SAME = 1e-4  # of the action range


def make_policy() -> bytes:
    """Return a policy of random weights for the pendulum."""
    from rl_control.environments.gymnasium import GymnasiumEnvironment
    from rl_control.learning.algorithms import make_agent, settings_of
    from rl_control.learning.export import Exporter

    world = GymnasiumEnvironment('Pendulum-v1')
    settings = settings_of('sac').from_mapping({
        'hidden_sizes': [32, 32], 'observation_normalisation': 'fixed'})
    agent = make_agent('sac', world.contract, settings)
    world.close()
    return Exporter(agent.policy, world.contract, 'sac', 'run-1').export(1, 0)


def mutated(data: bytes, seed: int) -> bytes:
    """Return `data` with bits flipped, bytes set, a piece cut out, doubled or moved."""
    rng = np.random.default_rng(seed)
    bytes_ = bytearray(data)
    kind = rng.integers(5)
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 64))
    if kind == 0:
        for where in rng.integers(len(data), size=rng.integers(1, 9)):
            bytes_[where] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        bytes_[at:at + length] = rng.bytes(length)
    elif kind == 2:
        del bytes_[at:at + length]
    elif kind == 3:
        bytes_[at:at] = bytes_[at:at + length]
    else:
        to = int(rng.integers(len(data)))
        bytes_[to:to + length] = bytes_[at:at + length]
    return bytes(bytes_)


def probe(policy: OnnxPolicy) -> np.ndarray:
    """Return the policy's actions (PROBES, a) at fixed inputs."""
    rng = np.random.default_rng(0)
    return np.array([
        policy.act(rng.standard_normal(policy.observation_size) * (1.0 + 4.0 * (k % 3)),
                   rng.standard_normal(policy.noise_size))[0] for k in range(PROBES)])


def child(path: Path, first: int, count: int, progress: Path) -> None:
    """Open `count` damaged files; print the outcomes."""
    data = path.read_bytes()
    good = OnnxPolicy(data)
    expected = probe(good)
    span = np.subtract(good.contract.action_high, good.contract.action_low)
    outcomes: Counter[str] = Counter()
    for seed in range(first, first + count):
        progress.write_text(str(seed))
        damaged = mutated(data, seed)
        try:
            opened = OnnxPolicy(damaged)
            found = probe(opened)
        except InvalidInput:
            outcomes['refused'] += 1
            continue
        except ArithmeticError:
            outcomes['refused when it acted'] += 1
            continue
        if damaged == data:
            outcomes['not damaged'] += 1
        elif found.shape == expected.shape and (np.abs(found - expected) / span).max() <= SAME:
            outcomes['accepted, acts as before'] += 1
        else:
            outcomes['accepted, acts otherwise'] += 1
    print(json.dumps(outcomes))


def with_old_digest(data: bytes, mutations: int) -> dict[str, int]:
    """Return the outcomes of damaged messages with the original digest."""
    message = codec.encode_policy(data, 'run-1', 1)
    counts = Counter()
    for seed in range(mutations):
        message.data = codec.encode_policy(mutated(data, seed), 'run-1', 1).data
        if bytes(message.data) == data:
            counts['not damaged'] += 1
            continue
        try:
            codec.decode_policy(message)
            counts['accepted'] += 1
        except InvalidInput:
            counts['refused'] += 1
    return dict(counts)


def with_new_digest(data: bytes, mutations: int) -> dict[str, int]:
    """Return the outcomes of damaged files, opened in child processes."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as directory:
        path, progress = Path(directory, 'policy.onnx'), Path(directory, 'progress')
        path.write_bytes(data)
        first = 0
        while first < mutations:
            number = min(BATCH, mutations - first)
            ended = subprocess.run(
                [sys.executable, __file__, '--child', str(path), str(first), str(number),
                 str(progress)], stdout=subprocess.PIPE, text=True, check=False)
            if ended.returncode:
                counts['crashed'] += 1
                print(f'seed {progress.read_text()}: status {ended.returncode}', flush=True)
                number = int(progress.read_text()) + 1 - first  # open the rest in a new child
            else:
                # onnxruntime may have printed lines before.
                counts.update(json.loads(ended.stdout.splitlines()[-1]))
            first += number
            print(f'\r{first} of {mutations}', end='', file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return dict(counts)


def main() -> int:
    """Damage files, count outcomes, print them, return the exit status."""
    if sys.argv[1:2] == ['--child']:
        path, first, count, progress = sys.argv[2:]
        child(Path(path), int(first), int(count), Path(progress))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--mutations', type=int, default=100_000, help='of each kind')
    options = parser.parse_args()
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    data = make_policy()
    figures = {
        'bytes': len(data),
        'with the old digest': with_old_digest(data, options.mutations),
        'with a new digest': with_new_digest(data, options.mutations),
    }
    print(json.dumps(figures, indent=2))
    return int(bool(figures['with the old digest'].get('accepted', 0)
                    or figures['with a new digest'].get('crashed', 0)))


if __name__ == '__main__':
    sys.exit(main())
