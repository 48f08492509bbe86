# SPDX-License-Identifier: Apache-2.0
"""
Updates/s of each algorithm beside peers and the arithmetic lower bound.

Each contender is a separate process, since threads are settings of a process; they take turns.
"""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
import json
import subprocess

from benchmarks.parts.comparison import (
    LIMIT,
    OURS,
    Comparison,
    Contender,
    Figures,
    Goal,
    Scale,
    compare,
)
from benchmarks.parts.subprocesses import start

SB3, SBX = 'stable-baselines3', 'sbx'
PLAIN, FLOOR = f'{OURS}, not compiled', f'{LIMIT}products of matrices alone'
KINDS = {OURS: 'ours', PLAIN: 'plain', SB3: 'sb3', SBX: 'sbx', FLOOR: 'floor'}
MODULES = {SB3: 'stable_baselines3', SBX: 'sbx'}
# Goals as multiples of stable-baselines3's rate, on one thread and on two.
AHEAD = {'td3': (1.4, 1.8), 'sac': (1.6, 1.9), 'ddpg': (1.6, 1.8)}
AHEAD_SMALL = 7.0
OF_FLOOR = 0.8  # goal where there is no peer
BESIDE = 'learner: sac, 256 x 256, batch 256, beside a process that keeps one core busy'


def measure(scale: Scale) -> Iterator[Comparison]:
    """Yield updates/s, sampling included, by algorithm, size and threads."""
    for name in ('td3', 'sac', 'ddpg', 'naf', 'qt_opt'):
        for width, batch, threads in ((256, 256, 1), (256, 256, 2), (64, 64, 1)):
            if scale.quick and (width > 64 or name != 'sac'):
                continue
            yield _beside_peers(scale, name, width, batch, threads)
    if not scale.quick:
        yield _busy(scale)


def _beside_peers(
    scale: Scale, name: str, width: int, batch: int, threads: int,
) -> Comparison:
    peers = [SB3, SBX] if name in AHEAD else []
    goals = [Goal('rate', at_least=OF_FLOOR, of=FLOOR)]
    if peers:
        ahead = AHEAD_SMALL if width == 64 else AHEAD[name][threads - 1]
        goals = [Goal('rate', at_least=ahead, of=SB3), Goal('rate', at_least=1.0, of=SBX)]
    contenders = [PLAIN, FLOOR] if scale.quick else [OURS, PLAIN, *peers, FLOOR]
    return by_turns(
        f'learner: {name}, {width} x {width}, batch {batch}, {threads} '
        f'thread{"s" * (threads > 1)}', scale, goals,
        {contender: (KINDS[contender], name, width, batch, threads)
         for contender in contenders})


def _busy(scale: Scale) -> Comparison:
    """Compare the default, cores less busy processes, with 2 threads, beside a busy process."""
    with start('benchmarks.parts.updating', 'busy', '', 0, 0, 1) as busy:
        try:
            return by_turns(BESIDE, scale, [Goal('rate', at_least=0.95, of='2 threads')], {
                OURS: ('ours', 'sac', 256, 256, 1), '2 threads': ('ours', 'sac', 256, 256, 2)})
        finally:
            busy.kill()


def by_turns(
    what: str, scale: Scale, goals: list[Goal] | tuple, contenders: dict[str, tuple],
) -> Comparison:
    """Measure processes of `updating`, by name and with their arguments, in turns; end them."""
    running: list[subprocess.Popen] = []

    def make(name: str, arguments: tuple) -> Callable[[], Figures]:
        if name in MODULES and find_spec(MODULES[name]) is None:
            raise ModuleNotFoundError(name=MODULES[name])
        *_, threads = arguments
        running.append(start(
            'benchmarks.parts.updating', *arguments, OMP_NUM_THREADS=str(threads)))
        process = running[-1]

        def turn() -> Figures:
            process.stdin.write('\n')
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f'{name} ended with status {process.wait()}')
            return {'rate': json.loads(line)}

        turn()  # returns when the process is ready
        return turn

    try:
        return compare(what, 'updates/s', [
            Contender(name, lambda name=name, arguments=arguments: make(name, arguments))
            for name, arguments in contenders.items()], scale.rounds, goals, more=True)
    finally:
        for process in running:
            process.kill()
            process.wait()
