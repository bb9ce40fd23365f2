"""Feature versions in the admin: the list, the page of each version, and every step."""

import re
from typing import Any

import pytest
from django.test import Client

from featurehub.access.models import create_api_key
from features.lifecycle import drafts, version_steps
from features.lifecycle import weight_set_steps as weights_lifecycle
from features.models import FeatureVersion, Run, VersionUse
from tests.factories import ago, make_customer, make_definition, make_purchase, make_version, make_weight_set
from tests.staff import log_in, shown_on, take_step

pytestmark = pytest.mark.django_db
VERSIONS = "/admin/features/featureversion/"
LOGINS = {"event_type": "login", "window": "7d"}


@pytest.fixture
def operator() -> Client:
    return log_in("operator")


def live(feature_type: str) -> FeatureVersion:
    return FeatureVersion.objects.get(feature_type=feature_type, state="live")


def page_of(client: Client, version: FeatureVersion) -> str:
    answer = client.get(f"{VERSIONS}{version.pk}/change/")
    assert answer.status_code == 200
    return text_of(answer)


def text_of(answer: Any) -> str:
    """Return the text of a page, with each run of white space as one blank."""
    return " ".join(answer.content.decode().split())


def take(client: Client, version: FeatureVersion, step: str, **data: Any) -> str:
    """Take a step. Return the page after it, or the step's page where it was refused."""
    address = f"{VERSIONS}{version.pk}/step/{step}/"
    answer = take_step(client, address, **{"follow": True, "reason": "A test", **data})
    assert answer.status_code == 200
    return text_of(answer)


def steps_offered(page: str) -> set[str]:
    return set(re.findall(r"/step/([a-z-]+)/", page))


def state_of(version: FeatureVersion) -> str:
    return FeatureVersion.objects.get(pk=version.pk).state


# --- The list -------------------------------------------------------------------------------------------------------


def test_versions_are_listed_by_type_the_live_one_first(operator: Client) -> None:
    make_version("behavioral", "1.9", state="retired")
    make_version("behavioral", "1.10", state="shadow", logins_7d=LOGINS)
    make_version("behavioral", "2.0")
    page = text_of(operator.get(VERSIONS))
    listed = re.findall(r">((?:behavioral|derived|customer|contextual):[\d.]+)</a>", page)
    assert listed == [
        "behavioral:1.0", "behavioral:1.10", "behavioral:2.0", "behavioral:1.9",
        "derived:1.0", "customer:1.0", "contextual:1.0",
    ]  # fmt: skip
    assert "Start a draft 3.0" in page
    assert page.count("Start a draft 2.0") == 3
    assert f"{VERSIONS}compare/behavioral/" in page
    assert f"{VERSIONS}compare/derived/" not in page


def test_the_list_shows_size_readers_and_what_is_computed(operator: Client) -> None:
    version = make_version("behavioral", state="shadow", logins_7d=LOGINS)
    version.runs.update(state="running", total=200, done=50)
    key, _ = create_api_key("checkout", scopes=["read"])
    VersionUse.objects.create(api_key=key, version=version, kind="read", used_at=ago(hours=3))
    page = text_of(operator.get(VERSIONS))
    assert '<td data-label="Features">15</td>' in page
    assert "checkout, 3 h 0 min ago" in page
    assert "25 %" in page
    assert "50 of 200" in page


# --- A version's page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "sentence", "steps"),
    [
        ("draft", "Not computed or readable yet.", {"shadow", "time-to-live", "discard"}),
        ("shadow", "Computed beside behavioral:1.0, the live version.", {"go-live", "retire", "time-to-live"}),
        ("live", "Returned to readers that ask for no version.", {"time-to-live"}),
        ("deprecated", "No longer live: behavioral:1.0 is.", {"back-to-live", "retire", "time-to-live"}),
        ("retired", "No longer computed or readable.", set()),
    ],
)
def test_a_page_says_where_a_version_stands_and_what_can_be_done(
    operator: Client, state: str, sentence: str, steps: set[str]
) -> None:
    version = make_version("behavioral", state=state, logins_7d=LOGINS)
    page = page_of(operator, version)
    assert sentence in page
    assert steps_offered(page) == steps
    assert "Number of login events over 7 days" in page
    assert "Drafted" in page


def test_a_page_shows_how_far_the_first_values_are(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    version.runs.update(state="running", total=200, done=50)
    page = page_of(operator, version)
    assert "All values are being computed." in page
    assert f'data-run="{version.runs.get().pk}" data-state="running"' in page
    version.runs.update(state="failed", error="The disk is full.")
    page = page_of(operator, version)
    assert "Computing the values failed." in page
    assert "compute" in steps_offered(page)


def test_a_page_says_who_reads_the_version(operator: Client) -> None:
    assert "No API key has read it so far." in page_of(operator, live("behavioral"))
    key, _ = create_api_key("checkout", scopes=["read"])
    VersionUse.objects.create(api_key=key, version=live("behavioral"), kind="read", used_at=ago(hours=2))
    assert "checkout</th>" in page_of(operator, live("behavioral"))


def test_a_version_that_is_not_there_is_not_found(operator: Client) -> None:
    assert operator.get(f"{VERSIONS}999999/change/").status_code == 302
    assert operator.get(f"{VERSIONS}999999/step/retire/").status_code == 404
    assert operator.get(f"{VERSIONS}{live('customer').pk}/step/fly/").status_code == 404
    assert operator.get(f"{VERSIONS}draft/invented/").status_code == 404
    assert operator.get(f"{VERSIONS}compare/invented/").status_code == 404


# --- Drafts ---------------------------------------------------------------------------------------------------------


def test_a_draft_is_started_with_a_number_and_a_reason(operator: Client) -> None:
    form = operator.get(f"{VERSIONS}draft/behavioral/").content.decode()
    assert 'value="2.0"' in form
    answer = operator.post(
        f"{VERSIONS}draft/behavioral/", {"number": "2.0", "based_on": "1.0", "reason": "Shoes"}, follow=True
    )
    assert "The draft behavioral:2.0 is made." in text_of(answer)
    version = FeatureVersion.objects.get(number="2.0")
    assert version.steps.get().reason == "From behavioral:1.0. Shoes"
    assert version.definitions.count() == 14


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"number": "1.0"}, "choose a greater number"),
        ({"number": "two"}, "A version looks like 1.0"),
        ({"number": ""}, "This field is required."),
        ({"reason": ""}, "Say why"),
        ({"based_on": "9.0"}, "Select a valid choice"),
    ],
)
def test_a_wrong_draft_is_refused_beside_the_field(operator: Client, data: dict[str, str], sentence: str) -> None:
    answer = operator.post(f"{VERSIONS}draft/behavioral/", {"number": "2.0", "based_on": "1.0", "reason": "X", **data})
    assert sentence in text_of(answer)
    assert FeatureVersion.objects.count() == 4


def test_features_are_added_to_a_draft_and_taken_out(operator: Client) -> None:
    version, made = make_version("behavioral"), make_definition("logins_7d", "behavioral")
    assert "logins_7d: Number of all events over 30 days" in page_of(operator, version)
    address = f"{VERSIONS}{version.pk}/features/"
    assert "logins_7d is in behavioral:2.0." in text_of(operator.post(address, {"add": made.pk}, follow=True))
    assert version.definitions.filter(pk=made.pk).exists()
    page = text_of(operator.post(address, {"remove": made.pk}, follow=True))
    assert "logins_7d is not in behavioral:2.0 any more." in page
    assert not version.definitions.filter(pk=made.pk).exists()


@pytest.mark.parametrize("chosen", ["", "0", "999999", "x", "²"])
def test_a_feature_that_is_not_there_is_not_found(operator: Client, chosen: str) -> None:
    version = make_version("behavioral")
    assert operator.post(f"{VERSIONS}{version.pk}/features/", {"add": chosen}).status_code == 404


def test_a_computed_version_past_draft_offers_no_change_of_its_features(operator: Client) -> None:
    version, made = make_version("behavioral", state="shadow"), make_definition("logins_7d", "behavioral")
    page = page_of(operator, version)
    assert "These features are fixed" in page
    assert 'name="add"' not in page
    assert 'name="remove"' not in page
    answer = operator.post(f"{VERSIONS}{version.pk}/features/", {"add": made.pk}, follow=True)
    assert "features are added to drafts only" in text_of(answer)


def test_what_clients_write_is_added_to_the_live_version(operator: Client) -> None:
    make_definition("pets")
    page = page_of(operator, live("customer"))
    assert 'name="add"' in page
    assert 'name="remove"' not in page


def test_the_inputs_of_a_derived_draft_are_chosen(operator: Client) -> None:
    make_version("behavioral", state="shadow")
    version = make_version("derived")
    form = text_of(operator.get(f"{VERSIONS}{version.pk}/step/inputs/"))
    assert "behavioral:2.0, shadow" in form
    page = take(operator, version, "inputs", behavioral="2.0", customer="", contextual="1.0")
    assert "behavioral:2.0, contextual:1.0" in page
    version.refresh_from_db()
    assert version.inputs == {"behavioral": "2.0", "contextual": "1.0"}


def test_an_empty_draft_says_what_it_lacks(operator: Client) -> None:
    version = make_version("customer")
    for row in list(version.definitions.all()):
        drafts.remove_definition(version.pk, row, by=None)
    assert "No feature yet." in page_of(operator, version)
    assert "customer:2.0 has no feature yet: add one first." in take(operator, version, "shadow")


def test_a_draft_is_discarded(operator: Client) -> None:
    version = make_version("behavioral")
    assert "The draft behavioral:2.0 is gone." in take(operator, version, "discard")
    assert FeatureVersion.objects.count() == 4


# --- The steps ------------------------------------------------------------------------------------------------------


def test_a_version_goes_its_way_in_the_admin(operator: Client) -> None:
    version = make_version("behavioral", logins_7d=LOGINS)
    assert "It can go live when that is done" in take(operator, version, "shadow")
    assert "0 of 0 customers are done" in take(operator, version, "go-live")
    Run.objects.filter(version=version).update(state="done")
    page = take(operator, version, "go-live")
    assert "behavioral:2.0 is the live version: readers are switched in 10 seconds." in page
    assert re.search(r"Returned to readers that ask for no version from \d\d:\d\d:\d\d UTC on", page)
    first = FeatureVersion.objects.get(feature_type="behavioral", number="1.0")
    assert "until then they may need behavioral:1.0" in take(operator, first, "retire")
    assert "behavioral:1.0 is live again" in take(operator, first, "back-to-live")
    FeatureVersion.objects.filter(pk=first.pk).update(live_from=ago(seconds=1))
    assert "behavioral:2.0 is retired." in take(operator, version, "retire")


@pytest.mark.parametrize("step", ["shadow", "go-live", "retire", "time-to-live"])
def test_a_step_asks_why(operator: Client, step: str) -> None:
    state = "draft" if step == "shadow" else "shadow"
    version = make_version("customer", state=state)
    page = take(operator, version, step, reason=" ")
    assert "Say why: it is kept with the version" in page
    assert state_of(version) == state


def test_a_step_that_is_not_possible_any_more_says_so(operator: Client) -> None:
    version = make_version("customer")
    address = f"{VERSIONS}{version.pk}/step/shadow/"
    shown = shown_on(operator, address)
    version_steps.put_into_shadow(version.pk, by=None, reason="Faster")
    page = text_of(operator.get(address))
    assert "This version is shadow, so there is nothing to do here." in page
    answer = operator.post(address, {"reason": "Go", "shown": shown})
    assert "customer:2.0 is shadow by now" in text_of(answer)


def test_a_draft_that_somebody_discarded_meanwhile_is_not_found(operator: Client) -> None:
    version = make_version("customer")
    address = f"{VERSIONS}{version.pk}/step/discard/"
    shown = shown_on(operator, address)
    drafts.discard(version.pk, by=None, reason="Faster")
    assert operator.post(address, {"reason": "Go", "shown": shown}).status_code == 404


def test_the_steps_of_what_clients_write_do_not_speak_of_computing(operator: Client) -> None:
    draft = make_version("customer", "2.0")
    assert "let clients write both" in text_of(operator.get(f"{VERSIONS}{draft.pk}/step/shadow/"))
    shadow = make_version("contextual", "2.0", state="shadow")
    for version, step in ((draft, "shadow"), (shadow, "retire"), (live("contextual"), "go-live")):
        assert "omputed" not in text_of(operator.get(f"{VERSIONS}{version.pk}/step/{step}/")).partition("fh-step")[2]


def test_retiring_what_is_still_read_takes_a_second_word(operator: Client) -> None:
    version = make_version("customer", state="shadow")
    assert "Retire anyway" not in text_of(operator.get(f"{VERSIONS}{version.pk}/step/retire/"))
    key, _ = create_api_key("checkout", scopes=["read"])
    VersionUse.objects.create(api_key=key, version=version, kind="read", used_at=ago(days=1))
    form = text_of(operator.get(f"{VERSIONS}{version.pk}/step/retire/"))
    assert "It was used in the last 7 days." in form
    assert "checkout read it, " in form
    assert "was used in the last 7 days: read by checkout at" in take(operator, version, "retire")
    assert state_of(version) == "shadow"
    assert "customer:2.0 is retired." in take(operator, version, "retire", confirmed="on")


def test_retiring_what_is_still_written_names_who_writes_it(operator: Client) -> None:
    version = make_version("customer", state="shadow")
    assert "No API key has read or written it so far." in page_of(operator, version)
    key, _ = create_api_key("crm", scopes=["write"])
    VersionUse.objects.create(api_key=key, version=version, kind="write", used_at=ago(days=1))
    assert "wrote it 1 d 0 h ago" in page_of(operator, version)
    assert "crm wrote it, " in text_of(operator.get(f"{VERSIONS}{version.pk}/step/retire/"))
    assert "written by crm at" in take(operator, version, "retire")
    assert "nobody so far" in text_of(operator.get(VERSIONS))
    assert "customer:2.0 is retired." in take(operator, version, "retire", confirmed="on")


def test_the_time_to_live_is_changed(operator: Client) -> None:
    page = take(operator, live("contextual"), "time-to-live", time_to_live="1800")
    assert "after 30 min 0 s" in page
    assert live("contextual").time_to_live == 1800
    assert 'value="1800"' in text_of(operator.get(f"{VERSIONS}{live('contextual').pk}/step/time-to-live/"))
    take(operator, live("contextual"), "time-to-live", time_to_live="")
    assert live("contextual").time_to_live is None
    assert "between 1 second and 366 days" in take(
        operator, live("contextual"), "time-to-live", time_to_live="99999999999"
    )
    assert "greater than or equal to 1" in take(operator, live("contextual"), "time-to-live", time_to_live="0")


def test_a_computation_that_failed_is_started_again(operator: Client) -> None:
    version = make_version("behavioral", state="shadow")
    version.runs.update(state="failed", error="The disk is full.")
    assert "values of behavioral:2.0 are being computed." in take(operator, version, "compute")
    assert version.runs.filter(state="running").count() == 1


# --- Who may --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "marketer"])
def test_who_does_not_manage_versions_looks_only(role: str) -> None:
    client, version = log_in(role), make_version("behavioral")
    assert steps_offered(page_of(client, version)) == set()
    assert "Start a draft" not in text_of(client.get(VERSIONS))
    for step in ("shadow", "go-live", "retire", "time-to-live", "discard"):
        assert client.post(f"{VERSIONS}{version.pk}/step/{step}/", {"reason": "Go"}).status_code == 403
    assert client.post(f"{VERSIONS}{version.pk}/features/", {"add": "1"}).status_code == 403
    assert client.post(f"{VERSIONS}draft/behavioral/", {"number": "3.0"}).status_code == 403
    assert state_of(version) == "draft"


def test_nobody_looks_without_a_role() -> None:
    client = log_in()
    for path in ("", f"{live('customer').pk}/change/", "compare/customer/"):
        assert client.get(f"{VERSIONS}{path}").status_code == 403


# --- Two of them ----------------------------------------------------------------------------------------------------


def test_two_versions_are_compared(operator: Client) -> None:
    version = make_version("behavioral", state="shadow", logins_7d=LOGINS)
    made = make_weight_set(version=version, weights={"login": (1.0, 10.0)})
    weights_lifecycle.activate(made.pk, by=None, reason="Logins")
    for number in range(1, 8):
        make_customer(f"c{number}", login=number, events=[make_purchase()])
    page = text_of(operator.get(f"{VERSIONS}compare/behavioral/"))
    assert "1 of 14 shared features differ." in page
    assert "One feature exists in only one version." in page
    assert 'id="feature-engagement_score"' in page
    assert page.index("c7</a>") < page.index("c6</a>")
    assert "2 more" in page
    assert 'href="/admin/features/customer/c7/change/"' in page
    assert "in behavioral:2.0 only" in page


def test_who_has_values_in_one_version_only_is_counted(operator: Client) -> None:
    make_customer("c1", login=1)
    make_version("behavioral", state="shadow")  # the run ends without c1
    make_customer("c2", login=1)
    page = text_of(operator.get(f"{VERSIONS}compare/behavioral/"))
    assert "1 customer has values in behavioral:1.0 only." in page
    assert "in behavioral:2.0 only" not in page


def test_the_same_can_be_compared_the_other_way_round(operator: Client) -> None:
    make_version("behavioral", state="shadow", logins_7d=LOGINS)
    make_customer("c1", login=1)
    page = text_of(operator.get(f"{VERSIONS}compare/behavioral/?left=2.0&right=1.0"))
    assert "Shared features are identical." in page
    assert "behavioral:2.0 and behavioral:1.0" in page


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("", "There is one behavioral version that can be read,"),
        ("?left=9.0", "There is one behavioral version that can be read,"),
    ],
)
def test_there_is_nothing_to_compare_one_version_with(operator: Client, query: str, sentence: str) -> None:
    make_version("behavioral")
    assert sentence in text_of(operator.get(f"{VERSIONS}compare/behavioral/{query}"))


def test_a_comparison_without_customers_or_of_an_unreadable_version_says_so(operator: Client) -> None:
    make_version("behavioral", state="shadow")
    assert "No customer is known yet," in text_of(operator.get(f"{VERSIONS}compare/behavioral/"))
    assert "Select a valid choice" in text_of(operator.get(f"{VERSIONS}compare/behavioral/?left=7.0"))


def test_the_weights_that_pages_call_active_are_the_live_versions(operator: Client) -> None:
    first = live("behavioral").weight_sets.get()
    make_version("behavioral", state="shadow")
    other = FeatureVersion.objects.get(number="2.0").weight_sets.get()
    assert f'href="/admin/features/weightset/{first.pk}/change/"' in text_of(operator.get("/admin/"))
    page = text_of(operator.get("/admin/features/weightset/compare/"))
    assert f'<option value="{first.pk}" selected>' in page
    assert "behavioral:2.0" in text_of(operator.get("/admin/features/weightset/"))
    assert str(first) in page_of(operator, live("behavioral"))
    assert str(other) in page_of(operator, FeatureVersion.objects.get(number="2.0"))
