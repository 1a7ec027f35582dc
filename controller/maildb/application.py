"""What is the mail application's own? Its three tables, as far as this program reads and writes them (A5)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Boolean, Column, MetaData, SmallInteger, Table, Text
from sqlalchemy.types import NullType

from controller.maildb.columns import Id, Moment

USERS = "messages_user"
DOMAINS = "messages_maildomain"
ACCESSES = "messages_maildomainaccess"


@dataclass(frozen=True, slots=True)
class Shape:
    """Which of the known shapes a database has."""

    admin: int | str
    """What `role` holds for an administrator: 1, or `ADMIN` in a database of before mid-2025."""
    claims: bool
    """Whether users have `oidc_claims`."""
    superusers: bool
    """Whether users have `is_superuser`."""
    access_columns: tuple[str, ...]
    """All columns of an access, those included that only its image needs."""


@dataclass(frozen=True, slots=True)
class Application:
    """The three tables of one shape."""

    shape: Shape
    users: Table
    domains: Table
    accesses: Table


@cache
def application_tables(shape: Shape) -> Application:
    """The tables as this shape has them."""
    metadata = MetaData()
    users = Table(
        USERS,
        metadata,
        Column("id", Id, primary_key=True),
        Column("email", Text),
        Column("is_active", Boolean),
        Column("updated_at", Moment),
        *([Column("oidc_claims", Text)] if shape.claims else []),
        *([Column("is_superuser", Boolean)] if shape.superusers else []),
    )
    domains = Table(
        DOMAINS,
        metadata,
        Column("id", Id, primary_key=True),
        Column("name", Text),
        Column("alias_of_id", Id),
        Column("oidc_autojoin", Boolean),
        Column("identity_sync", Boolean),
        Column("custom_attributes", Text),
        Column("updated_at", Moment),
    )
    known: dict[str, Column[Any]] = {
        "id": Column("id", Id, primary_key=True),
        "created_at": Column("created_at", Moment),
        "updated_at": Column("updated_at", Moment),
        "maildomain_id": Column("maildomain_id", Id),
        "user_id": Column("user_id", Id),
        "role": Column("role", Text if isinstance(shape.admin, str) else SmallInteger),
    }
    others: list[Column[Any]] = [Column(name, NullType()) for name in shape.access_columns if name not in known]
    return Application(shape, users, domains, Table(ACCESSES, metadata, *known.values(), *others))
