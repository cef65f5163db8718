"""The fake service behind `kvsecrets.testing`, which exports its public names.

A comment marked [?] means that no recording and no documentation shows this response of the real service. There the
fake returns what is most likely, by analogy.
"""
