"""Tests that kvsecrets, the fake vault and the vendor's client agree; the vendor's client is the reference.

Each scenario runs with kvsecrets and a FakeVault in process, with kvsecrets and the served emulator, and with the
vendor's azure-keyvault-secrets and the served emulator; each for threads and for asyncio.
"""
