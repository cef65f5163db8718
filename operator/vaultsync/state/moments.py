"""Moments of this process, which order what reads and polls observe."""

from typing import NamedTuple


class Moment(NamedTuple):
    """A moment of this process: its monotonic clock, and a number that orders the moments within one tick of it.

    Only these order observations, since the clocks of the vault and the operator may jump. A former process has none:
    everything that this one observes is later.
    """

    seconds: float
    number: int = 0
