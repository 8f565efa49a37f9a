"""Statements over Merkle tiles, checkpoints and receipts."""

from typing import LiteralString

from projections.sql import Statements


class TransparencyLogSql(Statements, file="transparency_log.sql"):
    """Each attribute is the text of the statement of that name."""

    copy_log_after: LiteralString
    lock_merkle: LiteralString
    merkle_progress: LiteralString
    set_merkle_progress: LiteralString
    upsert_merkle_tile: LiteralString
    merkle_tile: LiteralString
    merkle_tile_of_position: LiteralString
    count_events_between: LiteralString
    next_checkpoint_number: LiteralString
    last_checkpoint: LiteralString
    checkpoints_after: LiteralString
    first_checkpoint_from: LiteralString
    places_of_reservation: LiteralString
    checkpoint_of_number: LiteralString
    events_of_versions: LiteralString
    count_events_after: LiteralString
    copy_log_between: LiteralString
    map_progress: LiteralString
    set_map_progress: LiteralString
    set_map_checkpoint: LiteralString
    map_tiles: LiteralString
    map_tile: LiteralString
    upsert_map_tile: LiteralString
    first_events_of_reservations: LiteralString
    positions_of_tile: LiteralString
    events_of_reservations: LiteralString
