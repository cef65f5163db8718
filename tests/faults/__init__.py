"""What survives when the vault, the login, Kubernetes or the operator's own process breaks.

- `fault.py`: what a fault is, and the registry of all of them; `*_faults.py` define them.
- `journal.py`: every write of the cluster, read from etcd itself.
- `checker.py`: the invariants, pure functions over the journal and what was put into the vaults.
- `harness.py`: a `JournaledCluster` (control plane, journal) and a `World` in it (namespace, vault, checker, groups of
  secrets that rotate together, operators).
- `test_*.py`: each fault as a scenario; `soak.py`: many faults for minutes, by a seed.

Whoever writes as a user marks the write, see `checker.py`: every other write is the operator's and is checked.
"""
