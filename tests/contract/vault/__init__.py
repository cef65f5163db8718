"""One suite for three things at once: the fake vault, kvsecrets, and the vendor's own client as the judge of both.

Each scenario runs for kvsecrets before a FakeVault in process, for kvsecrets before the served emulator, and for the
vendor's azure-keyvault-secrets before the served emulator; each in its form for threads and in that for asyncio.
"""
