"""Which documents are refused, with which words, and does a message ever repeat a value?"""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidInput, Problem
from controller.resources.documents import KINDS, Declarations, Document, parse_documents
from controller.resources.names import ResourceKey
from tests.support.declared import API_VERSION, LEAST, MAILDOMAIN, SOURCE, WHOLE, Absent, Step, changed

OBSERVED = LEAST["MailDomain"]
VALID = json.dumps(OBSERVED)
SECRET: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "deploycenter"}}


def parsed(*objects: dict[str, Any] | str) -> Declarations:
    return parse_documents([Document("domains.yaml", text(obj)) for obj in objects])


def text(obj: dict[str, Any] | str) -> str:
    return obj if isinstance(obj, str) else json.dumps(obj)


def problems(*objects: dict[str, Any] | str) -> list[str]:
    with pytest.raises(InvalidInput) as error:
        parsed(*objects)
    return [str(problem) for problem in error.value.problems]


def found_in(obj: dict[str, Any]) -> tuple[Problem, ...]:
    try:
        parsed(obj)
    except InvalidInput as error:
        return error.problems
    return ()


# --- what is declared -------------------------------------------------------------------------------------------------


def test_objects_come_in_the_order_of_their_documents() -> None:
    other = changed(changed(OBSERVED, "metadata", "name", to="other"), "spec", "domain", to="other.fr")
    declared = parsed(f"---\n{VALID}\n---\n---\n{json.dumps(SOURCE)}\n", other)

    assert [domain.key for domain in declared.domains] == [("default", "commune"), ("default", "other")]
    assert [source.key for source in declared.sources] == [("default", "deploycenter")]


@pytest.mark.parametrize(
    "foreign",
    [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}},
        {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": []},
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"anything": None}},
        {"apiVersion": "bitnami.com/v1alpha1", "kind": "Secret"},
        {"apiVersion": "v1", "kind": "List", "items": []},
        "",
        "# nothing but a comment\n",
        "---\n---\n",
    ],
)
def test_what_is_not_ours_is_ignored(foreign: dict[str, Any] | str) -> None:
    assert len(parsed(foreign, OBSERVED).domains) == 1


def test_a_kustomization_may_go_without_its_kind() -> None:
    declared = parse_documents(
        [Document("org/kustomization.yaml", "resources: [a.yaml]"), Document("org/a.yaml", VALID)]
    )

    assert len(declared.domains) == 1


@pytest.mark.parametrize("kind", ["List", "MailDomainList"])
def test_a_list_is_unfolded(kind: str) -> None:
    version = "v1" if kind == "List" else "maildomain.dev/v1alpha1"

    assert len(parsed({"apiVersion": version, "kind": kind, "items": [OBSERVED, SOURCE]}).sources) == 1


def test_null_is_absent() -> None:
    obj = changed(changed(OBSERVED, "spec", "limits", to=None), "metadata", "annotations", to=None)

    assert parsed(obj).domains[0].spec == parsed(OBSERVED).domains[0].spec


def test_the_status_that_some_server_held_is_left_out() -> None:
    assert parsed(OBSERVED | {"status": {"admins": {"actual": 3}}}).domains[0].status == {}


def test_a_date_stays_a_text_and_a_merge_key_is_resolved() -> None:
    declared = parsed("""
apiVersion: maildomain.dev/v1alpha1
kind: MailDomain
metadata: {name: commune, annotations: {maildomain.dev/requestedAt: 2026-01-01}}
spec:
  domain: commune.fr
  mode: Observe
  sourceRefs: [&source {name: a, namespace: b}, {<<: *source, name: c}]
""")

    assert declared.domains[0].metadata.requests == {"maildomain.dev/requestedAt": "2026-01-01"}
    assert declared.domains[0].source_keys == (("b", "a"), ("b", "c"))


def test_secrets_hold_data_and_plain_text_and_show_neither() -> None:
    [secret] = parsed(
        SECRET | {"data": {"api-key": "c2Vj\ncmV0", "both": "c2VjcmV0"}, "stringData": {"both": "plain"}}, OBSERVED
    ).secrets

    assert secret.key == ResourceKey("default", "deploycenter")
    assert (secret.value("api-key"), secret.value("both"), secret.value("other")) == (b"secret", b"plain", None)
    assert "secret" not in f"{secret} {secret!r}"
    assert "plain" not in f"{secret} {secret!r}"


# --- what is refused --------------------------------------------------------------------------------------------------

IN_FIRST = "domains.yaml, document 1, MailDomain default/commune: "
DURATION = "write a duration of hours, minutes and seconds, such as 1h30m or 30s"
QUOTES = "write a text; in quotes, when it looks like a number, a date or true and false"


@pytest.mark.parametrize(
    ("steps", "value", "problem"),
    [
        (("spec", "sourceRef"), [], "spec.sourceRef: is not a known field; remove it or correct its spelling"),
        (("spec", "source_refs"), [], "spec.source_refs: is not a known field; remove it or correct its spelling"),
        (("spec", "mode"), Absent, "spec.mode: is missing; add it"),
        (("spec", "mode"), None, "spec.mode: is missing; add it"),
        (
            ("spec", "mode"),
            "Withdrawn",
            "spec.mode: is a text of 9 characters; write 'Observe', 'GrantOnly', 'Enforce' or 'Withdraw'",
        ),
        (("spec", "suspend"), "yes", "spec.suspend: is a text of 3 characters; write true or false"),
        (("spec", "sourceRefs"), {"name": "a"}, "spec.sourceRefs: is a mapping; write a list"),
        (("spec", "sourceRefs"), [], "spec.sourceRefs: is a list of 0; write at least 1 item"),
        (("spec", "sourceRefs", 0), "a", "spec.sourceRefs[0]: is a text of 1 characters; write a mapping of fields"),
        (("spec", "sourceRefs", 0, "name"), None, "spec.sourceRefs[0].name: is missing; add it"),
        (
            ("spec", "limits", "minAdmins"),
            1.5,
            "spec.limits.minAdmins: is a number with decimals; write a whole number",
        ),
        (("spec", "limits", "maxAdmins"), 0, "spec.limits.maxAdmins: is a whole number; write 1 or more"),
        (("spec", "limits", "maxAdmins"), True, "spec.limits.maxAdmins: is true or false; write a whole number"),
        (
            ("spec", "limits", "minAdmins"),
            51,
            "spec.limits: has fields that contradict each other; minAdmins must not exceed maxAdmins",
        ),
        (
            ("spec", "limits", "revocations"),
            {"max": "3"},
            "spec.limits.revocations.max: is a text of 1 characters; write a share from 0% to 100% or a whole number",
        ),
        (
            ("spec", "limits", "revocations"),
            {"max": 3, "window": "1d"},
            f"spec.limits.revocations.window: is a text of 2 characters; {DURATION}",
        ),
        (
            ("spec", "organization"),
            {"siret": 21590350100017},
            f"spec.organization.siret: is a whole number; {QUOTES}",
        ),
        (
            ("apiVersion",),
            "maildomain.dev/v1",
            "apiVersion: is a text of 17 characters; write 'maildomain.dev/v1alpha1'",
        ),
        (("apiVersion",), "v1", "apiVersion: is a text of 2 characters; write 'maildomain.dev/v1alpha1'"),
        (("apiVersion",), Absent, "apiVersion: is missing; add it"),
        (("extra",), 1, "extra: is not a known field; remove it or correct its spelling"),
    ],
)
def test_a_problem_says_where_what_and_the_remedy(steps: tuple[Step, ...], value: object, problem: str) -> None:
    assert problems(changed(OBSERVED, *steps, to=value)) == [IN_FIRST + problem]


def test_a_field_has_its_name_of_the_wire_only() -> None:
    renamed = changed(changed(OBSERVED, "spec", "sourceRefs", to=Absent), "spec", "source_refs", to=[{"name": "a"}])

    assert problems(renamed) == [
        f"{IN_FIRST}spec.sourceRefs: is missing; add it",
        f"{IN_FIRST}spec.source_refs: is not a known field; remove it or correct its spelling",
    ]


SYNTAX = "; correct the syntax there or just before it"
NOT_JSON = "; write texts, numbers, lists and mappings"
ALIAS = "has an alias of nothing, of itself, or of too much; write out what the aliases stand for"


@pytest.mark.parametrize(
    ("broken", "problem"),
    [
        ("a: [1\nb", f"1: is not YAML (line 3, column 1){SYNTAX}"),
        ("---\n---\na: b: c", f"2: is not YAML (line 3, column 5){SYNTAX}"),
        ("a: 1\nb: \x00", f"1: is not YAML (a control character at line 2){SYNTAX}"),
        ("a: \ud800", f"1: is not YAML{SYNTAX}"),
        ("spec:\n  mode: Observe\n  mode: Enforce\n", "1: line 3 has the key mode again; keep one of them"),
        ("a: !!binary c2VjcmV0", f"1: has a value that JSON can't hold (line 1, column 4){NOT_JSON}"),
        ("a: !!python/object:os.system x", f"1: has a value that JSON can't hold (line 1, column 4){NOT_JSON}"),
        ("\n[a]: 1", f"1: has a value that JSON can't hold (line 2, column 1){NOT_JSON}"),
        ("a: !!int x", f"1: has a value that JSON can't hold (from line 1){NOT_JSON}"),
        ("a: &a [*a]", f"1: line 1 {ALIAS}"),
        ("a: 1\nb: *c", f"1: line 2 {ALIAS}"),
        ("[" * 100_000, "1: line 1 is nested too deeply; nest at most 64 levels"),
        ("- " * 100_000, "1: line 1 is nested too deeply; nest at most 64 levels"),
        ("just a text", "1: is a text of 11 characters; write one Kubernetes object a document"),
        ("- a\n- b", "1: is a list of 2; write one Kubernetes object a document"),
        ("a: b", "1, *** default/***: is no Kubernetes object; give it an apiVersion and a kind"),
        (
            "{apiVersion: maildomain.dev/v1alpha1, kind: MailDomains, metadata: {name: a}}",
            f"1, MailDomains default/a: kind: is not known; write {', '.join(KINDS)}",
        ),
        (
            "{apiVersion: v1, kind: List, items: [{apiVersion: v1}]}",
            "1, items[0], *** default/***: is no Kubernetes object; give it an apiVersion and a kind",
        ),
    ],
    ids=range(18),
)
def test_a_text_that_can_not_be_read_says_where_and_why(broken: str, problem: str) -> None:
    assert problems(broken) == [f"domains.yaml, document {problem}"]


@pytest.mark.parametrize("nothing", ["", "---\n", "{apiVersion: v1, kind: Namespace}", json.dumps(SECRET)])
def test_nothing_of_ours_is_a_problem(nothing: str) -> None:
    assert problems(nothing) == [
        f"input: declares no MailDomain and no EntitlementSource; name files that hold objects of {API_VERSION}"
    ]


def test_nothing_at_all_is_a_problem() -> None:
    with pytest.raises(InvalidInput, match="declares no MailDomain"):
        parse_documents([])


def test_aliases_that_multiply_are_refused_before_they_do() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))

    assert "has an alias of nothing, of itself, or of too much" in problems(bomb)[0]


@pytest.mark.parametrize("separator", ["\n---\n", None])
def test_one_object_stands_once(separator: str | None) -> None:
    again = json.dumps(changed(OBSERVED, "spec", "domain", to="other.fr"))
    found = problems(f"{VALID}{separator}{again}") if separator else problems(VALID, again)

    assert len(found) == 1
    assert "metadata.name: stands in domains.yaml, document 1, MailDomain default/commune already" in found[0]


def test_one_domain_is_claimed_once() -> None:
    elsewhere = changed(OBSERVED, "metadata", "namespace", to="org")
    [found] = problems(f"{VALID}\n---\n{json.dumps(elsewhere)}")

    assert found.startswith("domains.yaml, document 2, MailDomain org/commune: spec.domain: is claimed by domains.yaml")


def test_the_same_name_in_another_namespace_or_kind_is_another_object() -> None:
    other = changed(changed(OBSERVED, "metadata", "namespace", to="org"), "spec", "domain", to="other.fr")

    assert len(parsed(OBSERVED, other, changed(SOURCE, "metadata", "name", to="commune")).domains) == 2


def test_all_problems_of_all_texts_come_at_once() -> None:
    first = changed(changed(OBSERVED, "spec", "mode", to="x"), "spec", "domain", to="X")
    second = changed(SOURCE, "spec", "provider", to={})

    found = problems(first, "a: [", second, SECRET | {"data": {"api-key": "$$$"}})

    assert [problem.split(": ")[1] for problem in found] == [
        "spec.domain",
        "spec.mode",
        "is not YAML (line 2, column 1); correct the syntax there or just before it",
        "spec.provider",
        "data.api-key",
    ]


def test_a_document_that_is_broken_does_not_hide_those_before_it() -> None:
    first = json.dumps(changed(OBSERVED, "spec", "mode", to="x"))

    assert len(problems(f"{first}\n---\na: [")) == 2


# --- no value in a message --------------------------------------------------------------------------------------------

CONFIDENTIAL = "jean.secret@commune.fr"


@pytest.mark.parametrize(
    "obj",
    [
        changed(MAILDOMAIN, "spec", "protectedAdmins", to=[CONFIDENTIAL, f"{CONFIDENTIAL} "]),
        changed(MAILDOMAIN, "spec", "protectedAdmins", to=CONFIDENTIAL),
        changed(MAILDOMAIN, "spec", "protectedAdmins", to={CONFIDENTIAL: True}),
        changed(
            changed(MAILDOMAIN, "spec", "protectedAdmins", to=[CONFIDENTIAL]), "spec", "deniedAdmins", to=[CONFIDENTIAL]
        ),
        changed(MAILDOMAIN, "spec", CONFIDENTIAL, to=1),
        changed(MAILDOMAIN, "spec", "domain", to=CONFIDENTIAL),
        changed(MAILDOMAIN, "metadata", "name", to=CONFIDENTIAL),
        changed(MAILDOMAIN, "metadata", "annotations", to={CONFIDENTIAL: 1}),
        changed(MAILDOMAIN, "kind", to=CONFIDENTIAL),
        changed(SOURCE, "spec", "provider", "deployCenter", "url", to=f"https://{CONFIDENTIAL}/"),
        changed(SOURCE, "spec", "provider", to={"static": {"grants": [{"email": f"{CONFIDENTIAL}@", "domains": []}]}}),
        SECRET | {"data": {"api-key": CONFIDENTIAL}},
        SECRET | {"data": {"api-key": [CONFIDENTIAL]}},
        SECRET | {"stringData": {"api-key": [CONFIDENTIAL]}},
        SECRET | {"stringData": CONFIDENTIAL},
        f"api-key: [{CONFIDENTIAL}",
        f"'{CONFIDENTIAL}': 1\n'{CONFIDENTIAL}': 2",
        f"api-key: *{CONFIDENTIAL.partition('@')[0]}",
        f"api-key: !{CONFIDENTIAL} x",
        f"api-key: !!int {CONFIDENTIAL}",
        CONFIDENTIAL,
    ],
)
def test_no_problem_repeats_a_value(obj: dict[str, Any] | str) -> None:
    with pytest.raises(InvalidInput) as error:
        parsed(obj)

    assert "jean" not in str(error.value)
    assert error.value.__context__ is None, "it would be printed along, and holds the values"


TEXT = st.text(st.characters(max_codepoint=0x2FFF), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@given(data=st.data())
def test_any_value_anywhere_is_taken_or_refused_with_a_remedy_in_our_words(data: st.DataObject) -> None:
    obj = WHOLE[data.draw(st.sampled_from(sorted(WHOLE)))]
    place: Any = obj
    steps: list[Step] = []
    while isinstance(place, dict | list) and place and (not steps or data.draw(st.booleans())):
        step = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        steps.append(step)
        place = place[step]
    remedies = [problem.remedy for problem in found_in(changed(obj, *steps, to=data.draw(VALUES)))]

    assert not [remedy for remedy in remedies if re.match("Input|String|Value|List|Tuple|Dict", remedy)]


@given(st.text(max_size=200))
def test_any_text_is_taken_or_refused_and_nothing_else_happens(anything: str) -> None:
    with pytest.raises(InvalidInput):
        parsed(anything)


def test_thousands_of_domains_in_one_file_are_parsed() -> None:
    documents = [
        json.dumps(changed(changed(MAILDOMAIN, "metadata", "name", to=f"d{n}"), "spec", "domain", to=f"d{n}.fr"))
        for n in range(2_000)
    ]

    assert len(parsed("\n---\n".join(documents)).domains) == 2_000
