"""Who administers what already? The administrators of every domain, for the `export` command."""

from collections import defaultdict
from collections.abc import Mapping

from sqlalchemy import Connection, select

from controller.maildb.application import Application
from controller.maildb.columns import dashed
from controller.maildb.reading import read_domains
from controller.planning.difference import locate
from controller.planning.facts import DomainId, UserId
from controller.resources.names import DomainName


def read_administrators(connection: Connection, application: Application) -> Mapping[DomainName, tuple[UserId, ...]]:
    """The ADMIN users of each domain that a manifest can declare, by canonical name; `()` for one without any.

    Aliases and twins that are not canonical are left out: no resource could manage them.
    """
    table = application.accesses.c
    statement = select(dashed(table.maildomain_id), dashed(table.user_id)).where(table.role == application.shape.admin)
    administrators: dict[DomainId, list[UserId]] = defaultdict(list)
    for domain, user in connection.execute(statement):
        administrators[domain].append(user)
    located = locate(read_domains(connection, application))
    return {
        name: tuple(sorted(administrators.get(place.row.id, ())))
        for name, place in sorted(located.items())
        if place.row is not None
    }
