"""What has been said, and when? Answers in memory, by source and user; nothing of them survives the process."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from controller.entitlements.source import Reply
from controller.planning.facts import Answer, Malformed, Subject, Unavailable, Unknown, UserId
from controller.resources.names import ResourceKey


@dataclass(slots=True)
class AnswerBook:
    """The last answer of one source about each user, oldest first, with the time since which it has been the same."""

    source: ResourceKey
    _answers: dict[UserId, Answer] = field(default_factory=dict)
    _unopened: dict[UserId, Subject] = field(default_factory=dict)

    @property
    def answers(self) -> Mapping[UserId, Answer]:
        """The last answers, failed asks included."""
        return self._answers

    @property
    def unopened(self) -> Mapping[UserId, Subject]:
        """What was asked where nothing was said about domains: another organization may open the answer."""
        return self._unopened

    @property
    def oldest(self) -> Answer | None:
        """The answer that was given longest ago."""
        return next(iter(self._answers.values()), None)

    def write(self, subject: Subject, reply: Reply, now: float) -> Answer:
        """Note a reply. `since` stays while e-mail and verdict stay the same (a failure in between breaks it)."""
        before = self._answers.pop(subject.user, None)
        same = before is not None and before.email == subject.email and before.verdict == reply.verdict
        answer = Answer(
            user=subject.user,
            email=subject.email,
            source=self.source,
            verdict=reply.verdict,
            at=now,
            since=before.since if before is not None and same else now,
            can_access=reply.can_access,
            access_reason=reply.access_reason,
            siret=reply.siret,
        )
        self._answers[subject.user] = answer
        self._unopened.pop(subject.user, None)
        if isinstance(reply.verdict, Unknown):
            self._unopened[subject.user] = subject
        return answer

    def forget(self, user: UserId) -> bool:
        """Drop the answer about one user; return whether there was one."""
        self._unopened.pop(user, None)
        return self._answers.pop(user, None) is not None

    def forget_all_but(self, users: AbstractSet[UserId]) -> None:
        """Drop the answers about users who can't be asked about any more."""
        for user in self._answers.keys() - users:
            self.forget(user)


def answered(answer: Answer | None) -> bool:
    """Whether the service said anything about the user at all."""
    return answer is not None and not isinstance(answer.verdict, Malformed | Unavailable)
