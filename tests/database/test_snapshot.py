"""What is read: everything at one moment, in few statements, from tables of every known shape."""

from controller.maildb.database import MailDatabase
from controller.resources.names import DomainName, Email
from tests.support.database import MailWorld

X = DomainName("x.fr")


def test_users_domains_and_rows_are_read_as_they_stand(database: MailDatabase, world: MailWorld) -> None:
    ada = world.user("Ada@X.fr", claims={"siret": "123", "age": 3, "none": None})
    domain = world.domain("x.fr", attributes={"siret": "456"})
    row = world.admin(ada, domain)
    seen = database.snapshot({X}, ())
    assert seen.users[ada].email == Email("Ada@X.fr")
    assert seen.users[ada].claims == {"siret": "123"}
    assert seen.domains[0].siret == "456"
    assert [(item.id, item.user, item.admin) for item in seen.accesses[domain]] == [(row, ada, True)]
