"""What counts against which limit? The wards of one judgement, made from the drafts of all domains."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from controller.planning.draft import Draft, window_start
from controller.planning.facts import Activity, Scope, Snapshot
from controller.planning.guard import Floor, Ward
from controller.planning.sources import Voice
from controller.resources.names import ResourceKey

DOMAIN_FLOOR = 1
SOURCE_FLOOR = 10


@dataclass(frozen=True, slots=True)
class Session:
    """One judgement: the sources and domains that are judged together, and the domains whose cases may go."""

    sources: tuple[Ward, ...]
    domains: tuple[Ward, ...]
    floors: Mapping[ResourceKey, Floor]
    ripe: frozenset[ResourceKey]
    scopes: frozenset[Scope]
    """Every object whose holds this judgement decides anew."""
    heard: frozenset[Scope]
    """Those of them whose sources have each completed a wave: what it would revoke is known."""


def convene(
    drafts: Sequence[Draft],
    voices: Mapping[ResourceKey, Voice],
    snapshot: Snapshot,
    granted: Mapping[ResourceKey, int],
    changes: Mapping[Scope, tuple[str, ...]],
) -> Session:
    """Gather what is judged now: each domain with a source whose wave has ended, and all sources of those domains.

    `granted` says how many grants this pass carries out for each MailDomain, `changes` which terms of an object are
    new since it was last let revoke.
    """
    acting = [draft for draft in drafts if draft.standing.admitted]
    judged = [draft for draft in acting if any(voices[key].state.judging for key in draft.standing.sources)]
    keys = {key for draft in judged for key in draft.standing.sources}
    by_source: dict[ResourceKey, list[Draft]] = defaultdict(list)
    for draft in acting:
        for key in keys.intersection(draft.standing.sources):
            by_source[key].append(draft)
    contested = [draft for draft in judged if draft.docket.open and not draft.withdraws]
    return Session(
        sources=tuple(_source_ward(voices[key], by_source[key], snapshot, changes) for key in sorted(keys)),
        domains=tuple(_domain_ward(draft, snapshot, granted.get(draft.key, 0), changes) for draft in contested),
        floors={draft.key: _floor(draft, granted.get(draft.key, 0)) for draft in contested},
        ripe=frozenset(draft.key for draft in judged if _ripe(draft, voices)),
        scopes=frozenset(draft.scope for draft in judged) | {Scope("EntitlementSource", key) for key in keys},
        heard=frozenset(_heard(judged, voices)),
    )


def _ripe(draft: Draft, voices: Mapping[ResourceKey, Voice]) -> bool:
    return draft.revokes and all(_trusted(voices[key]) for key in draft.standing.sources)


def _trusted(voice: Voice) -> bool:
    return voice.state.complete and voice.state.canaries_right


def _heard(judged: Sequence[Draft], voices: Mapping[ResourceKey, Voice]) -> Iterator[Scope]:
    for draft in judged:
        if draft.difference.located.row is not None and not draft.suspended:
            if all(_trusted(voices[key]) for key in draft.standing.sources):
                yield draft.scope
            yield from (
                Scope("EntitlementSource", key)
                for key in draft.standing.sources
                if voices[key].state.judging and _trusted(voices[key])
            )


def _source_ward(
    voice: Voice, drafts: Sequence[Draft], snapshot: Snapshot, changes: Mapping[Scope, tuple[str, ...]]
) -> Ward:
    limit = voice.state.spec.limits.revocations
    cases = tuple(item for draft in drafts if not draft.withdraws for item in draft.docket.open)
    # A window that nobody has read is no empty one.
    within = snapshot.activity[limit.window]
    activity = [within.get(draft.name, Activity()) for draft in drafts]
    names = {draft.name for draft in drafts}
    elsewhere = snapshot.removed[limit.window].get(voice.key, {})
    # A domain that is declared no more, or asks other sources now, takes nothing off the count.
    left = sum(count for name, count in elsewhere.items() if name not in names)
    return Ward(
        Scope("EntitlementSource", voice.key),
        limit,
        SOURCE_FLOOR,
        rows=sum(len(draft.difference.admins) for draft in drafts),
        activity=Activity(sum(item.granted for item in activity), sum(item.revoked for item in activity) + left),
        cases=cases,
        answers=_answers(voice, drafts) if len(cases) > SOURCE_FLOOR else None,
        changes=changes.get(Scope("EntitlementSource", voice.key), ()),
    )


def _answers(voice: Voice, drafts: Sequence[Draft]) -> int:
    holders = {row.user for draft in drafts for row in draft.difference.admins}
    return len(holders) - voice.silent_among(holders)


def _domain_ward(draft: Draft, snapshot: Snapshot, granted: int, changes: Mapping[Scope, tuple[str, ...]]) -> Ward:
    limit = draft.standing.resource.spec.limits.revocations
    return Ward(
        draft.scope,
        limit,
        DOMAIN_FLOOR,
        rows=len(draft.difference.admins),
        activity=snapshot.activity[limit.window].get(draft.name, Activity()),
        cases=draft.docket.open,
        offset=granted + draft.granted_since(window_start(snapshot, limit.window), snapshot),
        changes=changes.get(draft.scope, ()),
    )


def _floor(draft: Draft, granted: int) -> Floor:
    admins = len(draft.difference.admins) - len(draft.difference.denied) + granted
    return Floor(draft.standing.resource.spec.limits.min_admins, admins)
