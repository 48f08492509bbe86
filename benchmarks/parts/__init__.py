# SPDX-License-Identifier: Apache-2.0
"""
Benchmarks of the package's parts beside peers and limits, which take turns in one run.

One file per part with `measure(scale) -> Iterator[Comparison]`. Peers are imported where they are
used, so that a missing one only costs its own line.
"""

PARTS = {
    'learner': 'updates/s of each algorithm',
    'growth': 'cost of updates, actions and transitions by size',
    'replay': 'append, uniform and prioritised sampling, memory',
    'inference': 'one action of a policy',
    'simulator': 'control periods/s of a simulated arm in each physics engine',
    'collector': 'steps/s of a simulated arm, with the policy and publishing',
    'frame': 'one image of a simulated arm',
    'transport': 'transitions/s over topics, journaled and acknowledged',
    'broadcast': 'policies from the learner to a collector',
    'start': 'imports, and starts of nodes',
    'answer': 'from joint states to a trajectory, over topics',
    'loop': 'lateness of the control loop',
    'end-to-end': 'wall clock until reach is learned',
}
