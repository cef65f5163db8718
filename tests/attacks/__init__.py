"""Attacks of tenants, of vaults and of whoever holds the operator's token; each test fails if its attack works."""
