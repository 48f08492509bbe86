# SPDX-License-Identifier: Apache-2.0
"""Domain randomization settings: ranges of a simulated arm's properties."""

from dataclasses import dataclass

from rl_control.config.base import Settings, setting


@dataclass(frozen=True)
class RandomizationSettings(Settings):
    """
    Ranges of domain randomization, drawn from at each reset of a simulated arm.

    With all of them 0 nothing is changed. Tobin et al. 2017, "Domain randomization for
    transferring deep neural networks from simulation to the real world"; Peng et al. 2018,
    "Sim-to-real transfer of robotic control with dynamics randomization".
    """

    mass_range: float = setting(
        0.0, 'largest relative change of the mass of each link', low=0.0, high=0.9)
    damping_limit: float = setting(
        0.0, 'largest viscous friction of each joint', unit='N m s/rad', low=0.0, high=1000.0)
    latency_limit: float = setting(
        0.0, 'largest delay of the commands', unit='s', low=0.0, high=1.0)
    position_noise: float = setting(
        0.0, 'standard deviation of each measured joint position', unit='rad', low=0.0, high=1.0)
    velocity_noise: float = setting(
        0.0, 'standard deviation of each measured joint velocity', unit='rad/s', low=0.0,
        high=10.0)
    offset_limit: float = setting(
        0.0, 'largest zero offset of each joint', unit='rad', low=0.0, high=0.5)
