"""What can go wrong with the store itself, as opposed to what a rule refuses."""


class StorageUnavailableError(Exception):
    """The database is away, or did not answer in time. Whether the last commit happened is unknown; ask again."""


class WrongKeysError(Exception):
    """The key rings are not those that this database was written with."""


class SchemaMismatchError(Exception):
    """The database's schema is older or newer than this code."""
