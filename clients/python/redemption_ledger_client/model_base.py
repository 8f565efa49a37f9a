"""Base of the generated models, which read answers of newer releases too."""

from msgspec import Struct


class Model(Struct, kw_only=True):
    """A body of the API. Fields that this version lacks are ignored; optional ones that are not set are not sent."""


class AnyText:
    """Stands for `typing.Literal` at run time: a value that a newer release added is read as text."""

    def __class_getitem__(cls, _: object) -> type[str]:
        return str
