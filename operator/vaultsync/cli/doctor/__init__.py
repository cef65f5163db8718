"""`vaultsync doctor`: checks a cluster, its operator, grants and vaults, and says what to do; changes nothing."""
