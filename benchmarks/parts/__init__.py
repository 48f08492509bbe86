# SPDX-License-Identifier: Apache-2.0
"""
Each part of the package beside its peers and its limit, measured in one run by turns.

One file a part; each has `measure(scale) -> Iterator[Comparison]`. Peers are imported where they
are used, so that a missing one costs a line and nothing else.
"""

PARTS = {
    'learner': 'updates/s of each algorithm',
    'growth': 'how updates, actions and transitions cost more with size',
    'replay': 'append, uniform and prioritised sampling, memory',
    'inference': 'one action of a policy',
    'collector': 'steps/s of a simulated arm, with the policy and publishing',
    'transport': 'transitions/s over topics, journaled and acknowledged',
    'broadcast': 'policies from the learner to a collector',
    'start': 'imports, and nodes until they are there',
    'answer': 'from joint states to a trajectory, over topics',
    'loop': 'lateness of the control loop',
    'end-to-end': 'wall clock until reach is learned',
}
