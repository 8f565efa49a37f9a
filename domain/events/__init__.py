"""Every fact that the ledger stores, as a frozen record with a pinned topic.

msgspec structs rather than dataclasses: they are built and decoded some ten times faster, and a redeem
builds one per request. Until release 1.0 the log is "format 0": a shape may still change; from 1.0 on the
approved snapshots in tests/schema bind, and a change means a new version of the topic and an upcaster.

No fact holds a code text, an email address or free text: only the random ids under which the vault keeps
them. No fact holds a number that can be computed from other facts. The stream's id and the event's version
are separate columns, so they are not repeated in the state.
"""
