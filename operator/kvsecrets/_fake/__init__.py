"""The parts of the vault that tests run against; `kvsecrets.testing` is its public door.

A comment marked [?] stands beside each answer of the real service that no recording and no document shows: there the
fake answers what is most likely, by analogy.
"""
