"""What can go wrong with the store itself, as opposed to what a rule refuses."""


class StorageUnavailableError(Exception):
    """The database is away, or did not answer in time. Whether the last commit happened is unknown; ask again."""


class WrongKeysError(Exception):
    """The key rings are not those that this database was written with."""


class OlderStateError(Exception):
    """The database does not hold what was published of it: it was set back. The message says what to do."""


class SchemaMismatchError(Exception):
    """The database's schema is older or newer than this code."""


class NewerSchemaError(SchemaMismatchError):
    """It is newer: waiting does not help."""


class RolesMissingError(Exception):
    """The running role is not as it should be, and the owner may not change it. Says what an administrator types."""
