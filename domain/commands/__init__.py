"""What a caller can ask of the ledger: one module per command, with its dataclass and its handler.

A handler is pure: time, ids and policy come with the command. It raises a `Refusal` if a rule forbids the command,
returns no events if there is nothing to do, and may be called again with the same command.
"""
