"""What is the baseline? One user at a time, as the application synchronises at login, in Django's ORM.

The behaviour is A-29 to A-45: resolve the entitled names, compare with the user's ADMIN rows, create and delete one by
one. Answers are at hand, so only the database is measured.
"""

import time
import uuid
from collections.abc import Mapping

import django
from django.conf import settings
from sqlalchemy.engine import make_url


def configure(url: str) -> None:
    """Point Django at the same database."""
    parts = make_url(url)
    settings.configure(
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.postgresql",
                "NAME": parts.database,
                "USER": parts.username or "postgres",
                "HOST": parts.query.get("host", parts.host),
                "CONN_MAX_AGE": None,
            }
        },
        USE_TZ=True,
    )
    django.setup()


def synchronise(answers: Mapping[str, frozenset[str]]) -> float:
    """Synchronise each user; the seconds that it took."""
    from django.db import models  # noqa: PLC0415  # models need settings

    class Base(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        created_at = models.DateTimeField(auto_now_add=True)
        updated_at = models.DateTimeField(auto_now=True)

        class Meta:
            abstract = True

    class User(Base):
        email = models.CharField(max_length=254, null=True)

        class Meta:
            app_label = "bench"
            managed = False
            db_table = "messages_user"

    class MailDomain(Base):
        name = models.CharField(max_length=253)

        class Meta:
            app_label = "bench"
            managed = False
            db_table = "messages_maildomain"

    class Access(Base):
        maildomain = models.ForeignKey(MailDomain, on_delete=models.CASCADE)
        user = models.ForeignKey(User, on_delete=models.CASCADE)
        role = models.SmallIntegerField()

        class Meta:
            app_label = "bench"
            managed = False
            db_table = "messages_maildomainaccess"
            unique_together = ("maildomain", "user")

    users = list(User.objects.filter(pk__in=list(answers)))
    started = time.perf_counter()
    for user in users:
        wanted = {domain.pk: domain for domain in MailDomain.objects.filter(name__in=answers[str(user.pk)])}
        present = {access.maildomain_id: access for access in Access.objects.filter(user=user, role=1)}
        for key in wanted.keys() - present.keys():
            access = Access(user=user, maildomain=wanted[key], role=1)
            access.full_clean()  # the application validates each object before it is saved
            access.save()
        for key in present.keys() - wanted.keys():
            present[key].delete()
    return time.perf_counter() - started
