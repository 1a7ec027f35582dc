"""Can whoever sends hints make the service be called more often? Never beyond the bucket, however many there are."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import respx

from controller.engine.desk import Desk
from controller.entitlements.pacing import Lanes
from controller.entitlements.source import Reply
from controller.entitlements.sweep import sweep
from controller.planning.facts import Subject, User, UserId
from controller.resources.names import Email
from tests.support.deploycenter import VirtualTime, declared, opened

URL = "https://dc.example/api/v1.0/entitlements/"
RATE, WORKERS, SECONDS, USERS = 10, 4, 20, 500
PACE: dict[str, Any] = {"requestsPerSecond": RATE, "concurrency": WORKERS}


@respx.mock
async def test_a_flood_of_hints_makes_no_more_calls_than_the_bucket_permits() -> None:
    time = VirtualTime()
    respx.get(URL).mock(return_value=httpx.Response(200, json={"entitlements": {"can_admin_maildomains": []}}))
    emails = {UserId(f"u{number}"): Email(f"u{number}@x.fr") for number in range(USERS)}
    users = {user: User(user, email, active=True) for user, email in emails.items()}
    item = declared(URL, **PACE)
    desk = Desk(item.key, item.spec, time.now)
    desk.update(users, (), (), time.now)

    async def due() -> AsyncIterator[Subject]:
        while time.now < SECONDS:
            # Everybody is hinted at before each question.
            desk.hurry(users)
            user = desk.next(time.now)
            assert user is not None
            yield Subject(user, emails[user])

    def receive(subject: Subject, reply: Reply) -> None:
        desk.receive(subject, reply, time.now)

    async with opened(URL, lanes=Lanes(time.timing), **PACE) as source:
        swept = await time.run(sweep(source, due(), receive))

    most = RATE * SECONDS + 2 * WORKERS
    assert swept.asked == respx.calls.call_count
    assert RATE * SECONDS - WORKERS <= swept.asked <= most
