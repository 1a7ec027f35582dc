"""Laws that hold for every world: generated people, rows, answers and policies, planned and carried out."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.planning.changes import Changes, Denied, NotEntitled
from controller.planning.facts import AnswerReason, Entitled, Freeze, Malformed, Partial, Unavailable, Unknown, Verdict
from controller.resources.names import DomainName
from tests.support.planning import PlanningWorld, source_key

DOMAINS = ("a.fr", "b.fr", "c.fr")
DECLARED = DOMAINS[:2]
PEOPLE = tuple(f"p{number}" for number in range(6))

names = st.frozensets(st.sampled_from(DOMAINS)).map(lambda found: frozenset(map(DomainName, found)))
verdicts: st.SearchStrategy[Verdict | None] = st.one_of(
    names.map(Entitled),
    names.map(Entitled),
    names.map(Partial),
    st.just(Unknown(AnswerReason.KEY_ABSENT)),
    st.just(Malformed(AnswerReason.WRONG_SHAPE)),
    st.just(Unavailable(AnswerReason.TIMEOUT)),
    st.none(),
)


@st.composite
def worlds(draw: st.DrawFn) -> PlanningWorld:
    """Any world of three domains, two of them declared, with up to two sources."""
    world = PlanningWorld()
    sources = draw(st.sampled_from([("deploycenter",), ("deploycenter", "second")]))
    for name in sources:
        limit = draw(st.sampled_from(["0%", "25%", "100%"]))
        world.add_source(name, limits={"revocations": {"max": limit}}, confirmRevocations={"after": "0s"})
        world.states[source_key(name)] = {"complete": draw(st.booleans()) or draw(st.booleans())}
    for name in DOMAINS:
        world.domain(
            name,
            mode=draw(st.sampled_from(["Observe", "GrantOnly", "Enforce", "Enforce", "Withdraw"])),
            ownership=draw(st.sampled_from(["Ledger", "Authoritative"])),
            adoption=draw(st.sampled_from(["Never", "Matching", "All"])),
            sourceRefs=[{"name": source} for source in sources],
            limits={"minAdmins": draw(st.integers(0, 2)), "maxAdmins": draw(st.integers(2, 6))},
            protectedAdmins=draw(st.sampled_from([[], ["p0@x.fr"]])),
            deniedAdmins=draw(st.sampled_from([[], ["p1@x.fr"]])),
            suspend=draw(st.integers(0, 9)) == 0,
        )
    del world.declared[len(DECLARED) :]
    for person in PEOPLE:
        email = draw(st.sampled_from([f"{person}@x.fr", f"{person}@x.fr", "shared@x.fr", None]))
        world.user(email, name=person, active=draw(st.integers(0, 5)) > 0)
        for domain in DOMAINS:
            if draw(st.booleans()):
                world.admin(person, domain, owned=draw(st.booleans()), admin=draw(st.integers(0, 5)) > 0)
        for name in sources:
            if email is not None and (verdict := draw(verdicts)) is not None:
                world.says(person, source=name, verdict=verdict)
    world.later(seconds=draw(st.sampled_from([0, 60, 3600])))
    return world


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_every_revocation_has_its_proof(world: PlanningWorld) -> None:
    """Invariants 1 and 2."""
    decided = world.plan()
    specs = {item.domain: item for item in world.declared}
    for revocation in decided.changes.revocations:
        row, spec = world.rows[revocation.access.id], specs[revocation.name].spec
        assert row.admin
        assert spec.mode in ("Enforce", "Withdraw")
        assert not spec.suspend
        email = world.users[row.user].email
        if isinstance(revocation.proof, Denied):
            assert email is not None
            assert email.reveal() == "p1@x.fr"
            continue
        assert isinstance(revocation.proof, NotEntitled), "a withdrawal needs an approval, which nobody gave"
        assert spec.mode == "Enforce"
        assert row.id in world.ledger or spec.ownership == "Authoritative"
        assert world.users[row.user].active
        assert email is not None
        assert not any(email == protected for protected in spec.protected_admins)
        for reference in spec.source_refs:
            answer = world.answers[source_key(reference.name)][row.user]
            assert isinstance(answer.verdict, Entitled)
            assert revocation.name not in answer.verdict.domains
            assert world.now - answer.at <= 1800
            assert world.states[source_key(reference.name)]["complete"]


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_every_grant_has_a_source_that_names_the_user(world: PlanningWorld) -> None:
    for grant in world.plan().changes.grants:
        user = world.users[grant.user]
        assert user.active
        assert user.email is not None
        twins = [other for other in world.users.values() if other.active and other.email == user.email]
        assert twins == [user], "an e-mail of two active users grants nothing"
        assert grant.sources
        for key in grant.sources:
            verdict = world.answers[key][grant.user].verdict
            assert isinstance(verdict, Entitled | Partial)
            assert grant.name in verdict.domains
        assert not [row for row in world.rows.values() if (row.domain, row.user) == (grant.domain, grant.user)]


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_undeclared_domains_and_other_roles_are_never_touched(world: PlanningWorld) -> None:
    before = {row.id: row for row in world.rows.values() if row.domain not in DECLARED or not row.admin}
    world.apply()
    assert before.items() <= world.rows.items()


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_a_plan_that_was_carried_out_leaves_nothing_to_do(world: PlanningWorld) -> None:
    """Invariant 4: in sync means no write; a stable world comes to rest at once."""
    world.apply()
    world.apply()
    assert not world.plan().changes


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_no_limit_is_ever_exceeded(world: PlanningWorld) -> None:
    """Invariant 5, for the floors: minAdmins and 0 %."""
    specs = {item.domain: item.spec for item in world.declared}
    denied = {user.id for user in world.users.values() if user.email is not None and user.email.reveal() == "p1@x.fr"}
    before = {name: world.admins_of(name) - denied for name in DECLARED}
    decided = world.apply()
    zero = [key for key, item in world.sources.items() if str(item.spec.limits.revocations.max) == "0%"]
    removed = [item for item in decided.changes.revocations if isinstance(item.proof, NotEntitled)]
    assert not (zero and removed)
    for name in DECLARED:
        if any(item.name == name for item in removed):
            floor = specs[DomainName(name)].limits.min_admins
            assert len(world.admins_of(name)) >= min(floor, len(before[name]))


@given(worlds())
@settings(max_examples=200, deadline=None)
def test_while_everything_is_frozen_nothing_at_all_is_written(world: PlanningWorld) -> None:
    world.apply()
    world.repeat(seconds=60)
    world.freeze = Freeze()
    before = {hold.id for hold in world.snapshot().holds if not hold.approved}
    frozen = world.plan()
    assert frozen.changes == Changes()
    assert {hold.id for hold in frozen.holds} == before, "what is held stays visible"
    world.freeze = None
    assert world.plan() == world.plan()
