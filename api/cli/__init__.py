"""The command `ledger`: one module per command family. `api.cli.app` is where it begins."""
