"""Whatever happens to a VaultSecret, its target and its vault: last-good stays, and a healthy world finds its peace.

`--hypothesis-profile=soak` makes up fifty times as many stories.
"""

from hypothesis import settings

from tests.convergence.machine import ConvergenceInMemory

TestConvergence = ConvergenceInMemory.TestCase
TestConvergence.settings = settings(stateful_step_count=30)
