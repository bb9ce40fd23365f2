"""The checker notices each thing that may not happen, and nothing where all is as promised."""

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.checker import COUNTS, VALUE, Verdict, judge
from tests.faults.journal import Erasure, Final, Journal, Request, SentEvent, SentValue, Shown, WeightSetNumbers

FIRST = WeightSetNumbers(weights=dict.fromkeys(COUNTS, (0.2, 10.0)), monetary_norm=100.0)
SECOND = WeightSetNumbers(weights=dict.fromkeys(COUNTS, (0.1, 10.0)), monetary_norm=100.0)
NOTHING = {
    **dict.fromkeys(COUNTS.values(), 0.0), VALUE: 0.0, "engagement_score": 0.0, "purchase_amount_30d": 0.0,
    "recency_score": 0.0, "frequency_score": 0.0, "monetary_score": 0.0, "rfm_score": 0.0,
}  # fmt: skip


def event(number: int, *, customer: str = "c1", at: float = 10.0, timestamp: float = 5.0) -> SentEvent:
    """Return a page view that was sent at a moment, and acknowledged a second later."""
    return SentEvent(
        event_id=f"e{number}", customer=customer, event_type="page_view", timestamp=timestamp, sent=at,
        acknowledged=at + 1.0,
    )  # fmt: skip


def value(number: float, *, at: float, customer: str = "c1") -> SentValue:
    return SentValue(customer=customer, number=number, sent=at, acknowledged=at + 1.0)


def shown(at: float, *, views: float = 0.0, customer: str = "c1", weight_set: int = 1, **fields: Any) -> Shown:
    """Return a vector, read within a tenth of a second, with the score that follows from its page views."""
    score = min(views / 10.0, 1.0) * (0.2 if weight_set == 1 else 0.1)
    features = NOTHING | {"page_views_30d": views, "engagement_score": score} | fields
    return Shown(
        customer=customer, begun=at, ended=at + 0.1, features=features, weight_set=weight_set,
        is_empty=not any(features.values()),
    )  # fmt: skip


def verdict_on(
    *,
    events: list[SentEvent] | None = None,
    values: list[SentValue] | None = None,
    erasures: list[Erasure] | None = None,
    requests: list[Request] | None = None,
    reads: list[Shown] | None = None,
    final: list[Shown] | None = None,
    stored: set[str] | None = None,
    active: int = 1,
) -> Verdict:
    """Judge a run; all events are stored unless `stored` says otherwise."""
    journal = Journal(
        events=events or [], values=values or [], erasures=erasures or [], requests=requests or [], shown=reads or []
    )
    ids = {one.event_id for one in journal.events} if stored is None else stored
    end = Final(shown=final or [], event_ids=ids, weight_sets={1: FIRST, 2: SECOND}, active=active)
    return judge(journal, final=end)


def kinds(verdict: Verdict) -> dict[str, int]:
    return {kind: len(sentences) for kind, sentences in verdict.by_kind().items()}


def answer(status: int, *, seconds: float = 0.1, retry_after: str | None = None) -> Request:
    return Request(kind="vector", begun=10.0, ended=10.0 + seconds, status=status, retry_after=retry_after)


def test_a_run_in_which_all_is_as_promised_has_no_sentences() -> None:
    verdict = verdict_on(
        events=[event(1), event(2, at=20.0)],
        values=[value(3.0, at=10.0), value(4.0, at=20.0)],
        erasures=[Erasure(customer="c2", sent=30.0, acknowledged=31.0, is_complete=True)],
        requests=[answer(200), answer(201), answer(404), answer(503, retry_after="5")],
        reads=[
            shown(12.0, views=1.0, cart_value=3.0),
            shown(20.5, views=2.0, cart_value=4.0),
            shown(29.0, views=0.0, customer="c2"),
            shown(32.0, customer="c2"),
        ],
        final=[shown(50.0, views=2.0, cart_value=4.0), shown(50.0, customer="c2")],
    )
    assert kinds(verdict) == {}


def test_an_acknowledged_event_that_is_not_stored_is_lost() -> None:
    assert kinds(verdict_on(events=[event(1)], stored=set(), final=[shown(50.0, views=1.0)])) == {"lost": 1}


def test_an_acknowledged_event_that_is_not_counted_is_lost() -> None:
    assert kinds(verdict_on(events=[event(1), event(2)], final=[shown(50.0, views=1.0)])) == {"lost": 1}


def test_an_event_that_was_never_acknowledged_may_count_or_not() -> None:
    unknown = replace(event(2), acknowledged=float("inf"))
    for views in (1.0, 2.0):
        assert kinds(verdict_on(events=[event(1), unknown], final=[shown(50.0, views=views)])) == {}


def test_an_event_that_is_counted_twice_is_wrong() -> None:
    assert kinds(verdict_on(events=[event(1)], final=[shown(50.0, views=2.0)])) == {"wrong": 1}


def test_an_event_that_is_counted_before_its_moment_is_wrong() -> None:
    ahead = event(1, at=10.0, timestamp=15.0)
    early = verdict_on(events=[ahead], reads=[shown(14.0, views=1.0)], final=[shown(50.0, views=1.0)])
    assert kinds(early) == {"wrong": 1}
    assert kinds(verdict_on(events=[ahead], reads=[shown(15.0, views=1.0)], final=[shown(50.0, views=1.0)])) == {}


def test_an_older_value_in_the_end_is_lost() -> None:
    values = [value(3.0, at=10.0), value(4.0, at=20.0)]
    assert kinds(verdict_on(values=values, final=[shown(50.0, cart_value=3.0)])) == {"lost": 1}


def test_a_value_that_nobody_wrote_is_wrong() -> None:
    assert kinds(verdict_on(values=[value(3.0, at=10.0)], final=[shown(50.0, cart_value=7.0)])) == {"wrong": 1}


def test_a_read_that_shows_less_than_one_that_had_ended_before_is_a_step_back() -> None:
    events = [event(1), event(2)]
    reads = [shown(20.0, views=2.0), shown(21.0, views=1.0), shown(22.0, views=2.0)]
    assert kinds(verdict_on(events=events, reads=reads, final=[shown(50.0, views=2.0)])) == {"steps_back": 1}


def test_a_read_that_began_before_the_other_had_ended_is_no_step_back() -> None:
    long = replace(shown(19.0, views=2.0), ended=21.5)
    reads = [long, shown(21.0, views=1.0)]
    assert kinds(verdict_on(events=[event(1), event(2)], reads=reads, final=[shown(50.0, views=2.0)])) == {}


def test_another_customer_and_an_erasure_are_no_step_back() -> None:
    erasures = [Erasure(customer="c1", sent=20.5, acknowledged=20.6, is_complete=True)]
    reads = [shown(20.0, views=1.0), shown(21.0), shown(21.0, customer="c2")]
    assert kinds(verdict_on(events=[event(1)], erasures=erasures, reads=reads, stored=set())) == {}


def test_an_earlier_as_of_is_a_step_back() -> None:
    reads = [replace(shown(20.0), as_of=19.0), replace(shown(21.0), as_of=18.0)]
    assert kinds(verdict_on(reads=reads)) == {"steps_back": 1}


def test_an_acknowledged_value_that_a_later_read_does_not_show_is_unseen() -> None:
    values = [value(3.0, at=10.0), value(4.0, at=20.0)]
    late = verdict_on(values=values, reads=[shown(21.5, cart_value=3.0)], final=[shown(50.0, cart_value=4.0)])
    assert kinds(late) == {"unseen": 1}
    soon = verdict_on(values=values, reads=[shown(20.5, cart_value=3.0)], final=[shown(50.0, cart_value=4.0)])
    assert kinds(soon) == {}


def test_what_is_shown_of_an_erased_customer_is_wrong() -> None:
    erasures = [Erasure(customer="c1", sent=20.0, acknowledged=21.0, is_complete=True)]
    back = verdict_on(events=[event(1)], erasures=erasures, reads=[shown(22.0, views=1.0)], stored=set())
    assert kinds(back) == {"wrong": 1}


def test_an_erasure_that_is_not_complete_has_until_the_end() -> None:
    erasures = [Erasure(customer="c1", sent=20.0, acknowledged=21.0)]
    reads = [shown(22.0, views=1.0)]
    assert kinds(verdict_on(events=[event(1)], erasures=erasures, reads=reads, stored=set())) == {}
    end = [shown(50.0, views=1.0)]
    assert kinds(verdict_on(events=[event(1)], erasures=erasures, final=end, stored=set())) == {"wrong": 1}


def test_an_event_of_an_erased_customer_that_is_stored_is_wrong() -> None:
    erasures = [Erasure(customer="c1", sent=20.0, acknowledged=21.0, is_complete=True)]
    assert kinds(verdict_on(events=[event(1)], erasures=erasures, final=[shown(50.0)])) == {"wrong": 1}


def test_a_score_that_does_not_follow_from_counts_and_weights_is_wrong() -> None:
    torn = shown(20.0, views=1.0, engagement_score=0.5)
    assert kinds(verdict_on(events=[event(1)], reads=[torn], final=[shown(50.0, views=1.0)])) == {"wrong": 1}


def test_a_score_under_a_weight_set_that_there_is_not_is_wrong() -> None:
    unknown = shown(20.0, views=1.0, weight_set=9)
    assert kinds(verdict_on(events=[event(1)], reads=[unknown], final=[shown(50.0, views=1.0)])) == {"wrong": 1}


def test_two_weight_sets_in_the_end_are_wrong() -> None:
    events = [event(1), event(2, customer="c2")]
    final = [shown(50.0, views=1.0, weight_set=2), shown(50.0, views=1.0, customer="c2")]
    assert kinds(verdict_on(events=events, final=final, active=2)) == {"wrong": 1}


@pytest.mark.parametrize("status", [0, 400, 409, 500, 502])
def test_other_answers_are_bad(status: int) -> None:
    assert kinds(verdict_on(requests=[answer(status, retry_after="1")])) == {"answers": 1}


def test_a_503_without_retry_after_and_a_wait_of_more_than_two_seconds_are_bad() -> None:
    assert kinds(verdict_on(requests=[answer(503)])) == {"answers": 1}
    assert kinds(verdict_on(requests=[answer(200, seconds=2.1), answer(200, seconds=1.9)])) == {"answers": 1}
