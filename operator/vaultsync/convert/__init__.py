"""Converts manifests of other operators into VaultSecrets and VaultGrants: text in; documents and findings out.

`reading` parses within bounds, a module for each peer says what its fields become, `drafts` and `grants` collect that,
and `writing` prints it. A field of the input that no module reads is a finding, since `nodes` remembers what was read.
"""
