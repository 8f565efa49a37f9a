"""What a caller can ask of the ledger: one module per command, its dataclass and its handler.

A decision is pure: time, ids and the policy come in with the command. It raises a `Refusal` when a rule says
no, gives no events when there is nothing (more) to do, and is safe to ask again with the same command.
"""
