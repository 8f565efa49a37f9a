"""The log and the vault as files, exported and imported."""
