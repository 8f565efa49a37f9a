"""Column maps of files that other products export, recognized by the names in their first line."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from api.code_import.faults import RejectedRecordError
from api.schemas.code_terms import NONE_WORDS

NO_LIMIT: Final = NONE_WORDS["max_uses"]
IGNORE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnMap:
    """How the columns of a product's file become ours. All names of columns are in lower case.

    Attributes:
        product: Its name.
        marks: Columns that together tell the product's files from others.
        columns: Our column by theirs; an empty text ignores the column.
        prefixes: Beginnings of further columns that are ignored.
        parsers: What the text of a cell becomes, by their column; raises `RejectedRecordError`.
    """

    product: str
    marks: Collection[frozenset[str]]
    columns: Mapping[str, str]
    prefixes: tuple[str, ...] = ()
    parsers: Mapping[str, Callable[[str], str]] = field(default_factory=dict)

    def matches(self, names: Collection[str]) -> bool:
        """Return whether a file with columns of these names is one of the product's."""
        return any(mark.issubset(names) for mark in self.marks)

    def find_column(self, name: str) -> str | None:
        """Return our name of a column; empty if it is ignored, None if the product has no such column."""
        if name.startswith(self.prefixes):
            return IGNORE
        return self.columns.get(name)


def _parse_limit(cell: str) -> str:
    return cell or NO_LIMIT


def _parse_active(cell: str) -> str:
    words = {"": "", "true": "", "yes": "", "false": "paused", "no": "paused"}
    if cell.lower() not in words:
        raise RejectedRecordError("active", "active is neither true nor false", "active")
    return words[cell.lower()]


def _reject_balance(cell: str) -> str:
    """Refuse cards, whose balance is money or points and no number of uses."""
    if cell.upper().replace(" ", "_") in {"GIFT_VOUCHER", "GIFT_CARD", "LOYALTY_CARD"}:
        raise RejectedRecordError(
            "card", "the voucher is a card with a balance of money or points: remove the line", "voucher_type"
        )
    return cell


PRETIX: Final = ColumnMap(
    product="pretix",
    marks=[frozenset({"voucher code", "maximum usages"})],
    columns={
        "voucher code": "code",
        "valid until": "expires_at",
        "redeemed": "used",
        "maximum usages": "max_uses",
        "comment": "note",
        **dict.fromkeys(
            ("product", "reserve quota", "bypass quota", "price effect", "value", "tag", "seat", "budget"), IGNORE
        ),
    },
)
"""The file of *Vouchers*, *Download list* in English, as pretix writes it; seats and prices have no meaning here."""

_VOUCHERIFY_IGNORED: Final = (
    "id",
    "value",
    "formula",
    "discount_type",
    "discount type",
    "discount_unit_type",
    "discount_unit_effect",
    "discount_amount_limit",
    "validation rules id",
    "campaign",
    "campaign_id",
    "campaign id",
    "category",
    "updated_at",
    "last update date",
    "gift_balance",
    "gift balance",
    "loyalty_balance",
    "loyalty card balance",
    "qr_code",
    "qr code",
    "bar_code",
    "barcode",
    "is_referral_code",
    "is referral code?",
    "customer_id",
    "customer_source_id",
    "metadata",
)
VOUCHERIFY: Final = ColumnMap(
    product="Voucherify",
    marks=[frozenset({"code", "redemption_quantity"}), frozenset({"code", "redemption limit"})],
    columns={
        "code": "code",
        "redemption_quantity": "max_uses",
        "redemption limit": "max_uses",
        "redemption_count": "used",
        "redemption count": "used",
        "start_date": "starts_at",
        "start date": "starts_at",
        "expiration_date": "expires_at",
        "expiration date": "expires_at",
        "active": "state",
        "created_at": "issued_at",
        "creation date": "issued_at",
        "additional_info": "note",
        "voucher_type": IGNORE,
        "voucher type": IGNORE,
        **dict.fromkeys(_VOUCHERIFY_IGNORED, IGNORE),
    },
    prefixes=("metadata.",),
    parsers={
        "redemption_quantity": _parse_limit,
        "redemption limit": _parse_limit,
        "active": _parse_active,
        "voucher_type": _reject_balance,
        "voucher type": _reject_balance,
    },
)
"""The files of exports of vouchers: from the API by the names of fields, from the dashboard by their titles.

Codes that are valid on some weekdays or for part of a day only have no counterpart here: their columns are unknown.
"""

COLUMN_MAPS: Final = (PRETIX, VOUCHERIFY)


def find_column_map(names: Collection[str]) -> ColumnMap | None:
    """Return the map of a file whose first line has these names, in lower case; None if no product is recognized."""
    return next((column_map for column_map in COLUMN_MAPS if column_map.matches(names)), None)
