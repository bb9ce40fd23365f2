"""One object of each kind in the admin, what the form of each page sends, and what a request has changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db import connection, models
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, IntervalSchedule, PeriodicTask, SolarSchedule

from events.event_types import EVENT_TYPES
from events.models import DirtyCustomer, ErasedCustomer, Event
from featurehub.access.models import ApiKey, create_api_key
from features.lifecycle import weight_set_steps
from features.lifecycle.feature_sets import make_feature_set
from features.models import (
    ActivityLogEntry,
    Backtest,
    ComputedRange,
    ConsistencyCheck,
    Customer,
    CustomerFeature,
    FeatureDefinition,
    FeatureProfile,
    FeatureSet,
    FeatureVersion,
    FeatureVersionStep,
    InconsistentCustomer,
    Run,
    WeightSet,
    WeightSetStep,
)
from features.registry.weight_sets import active_set, weighed_types
from tests.factories import (
    ago,
    make_customer,
    make_definition,
    make_event,
    make_event_type,
    make_profile,
    make_version,
    make_weight_set,
    store_events,
)

PASSWORD = "a password of tests only"
# Tables in which a page may write without changing anything that is kept: sessions, and the log itself.
NOT_COUNTED = {"django_session", "django_admin_log"}


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The objects by model, and those whose state allows a step, by the model's name and the step's."""

    rows: dict[type[models.Model], models.Model]
    for_step: dict[tuple[str, str], int]
    backtest: int
    run: int

    def pk(self, model: type[models.Model]) -> Any:
        return self.rows[model].pk


def make_world() -> World:
    make_customer("c1", page_view=1)
    store_events(make_event(customer_id="c2"))
    key, _ = create_api_key("till", scopes=["read"])
    draft = make_weight_set(name="In draft")
    started = Backtest.objects.create(
        weight_set=draft, against=active_set("1.0"), numbers={}, first_day="2026-01-01", last_day="2026-01-01",
        every_days=1, horizon_days=1, total=1,
    )  # fmt: skip
    run = Run.objects.create(kind=Run.Kind.RESCORE, weight_set=active_set("1.0"))
    for_step = sets_for_steps(draft) | versions_for_steps()
    return World(rows=rows_of_every_model(key, draft), for_step=for_step, backtest=started.pk, run=run.pk)


def sets_for_steps(draft: WeightSet) -> dict[tuple[str, str], int]:
    first = active_set("1.0")
    weight_set_steps.activate(make_weight_set(name="In use").pk, by=None, reason="A test")
    proposed, scheduled, shadowed = (make_weight_set(name=name) for name in ("Proposed", "Scheduled", "Shadowed"))
    for weight_set in (proposed, shadowed):
        weight_set_steps.propose(weight_set.pk, by=None, reason="A test")
    weight_set_steps.start_shadow(shadowed.pk, by=None, reason="A test")
    now = datetime.now(UTC)
    weight_set_steps.schedule(scheduled.pk, at=now + timedelta(days=1), now=now, by=None, reason="A test")
    by_step = {
        "propose": draft, "approve": proposed, "activate": draft, "schedule": draft, "unschedule": scheduled,
        "shadow": proposed, "unshadow": shadowed, "send-back": proposed, "roll-back": first,
    }  # fmt: skip
    return {("weightset", step): weight_set.pk for step, weight_set in by_step.items()}


def versions_for_steps() -> dict[tuple[str, str], int]:
    draft, shadow = make_version("customer", "2.0"), make_version("contextual", "2.0", state="shadow")
    deprecated, derived = make_version("behavioral", "2.0", state="deprecated"), make_version("derived", "2.0")
    ComputedRange.objects.filter(version=deprecated).update(recorded_at=ago())
    by_step = {
        "shadow": draft, "go-live": shadow, "back-to-live": deprecated, "retire": shadow, "compute": deprecated,
        "backfill": deprecated, "time-to-live": draft, "inputs": derived, "discard": draft,
    }  # fmt: skip
    return {("featureversion", step): version.pk for step, version in by_step.items()}


def consistency_check() -> ConsistencyCheck:
    """Return a check that is done and has found a customer wrong."""
    run = Run.objects.create(kind=Run.Kind.CHECK, state=Run.State.DONE)
    check = ConsistencyCheck.objects.create(
        run=run, rate=0.001, confidence=0.95, is_everybody=True, compared=1, wrong=1
    )
    InconsistentCustomer.objects.create(check_made=check, customer_id="c1", findings=[])
    return check


def rows_of_every_model(key: ApiKey, draft: WeightSet) -> dict[type[models.Model], models.Model]:
    failure = {"username": "root", "ip_address": "192.0.2.1", "user_agent": "test"}
    rows: list[models.Model | None] = [
        key,
        draft,
        User.objects.create_user("somebody"),
        Group.objects.create(name="a role of ours"),
        AccessFailureLog.objects.create(**failure),
        AccessAttempt.objects.create(**failure, failures_since_start=1, get_data="", post_data=""),
        make_event_type("trial_started"),
        Event.objects.first(),
        DirtyCustomer.objects.first(),
        ErasedCustomer.objects.create(customer_hash=bytes(32)),
        Customer.objects.first(),
        CustomerFeature.objects.first(),
        make_definition("pets"),
        FeatureVersion.objects.get(feature_type="customer", number="2.0"),
        Run.objects.first(),
        ActivityLogEntry.objects.first(),
        consistency_check(),
        make_feature_set("churn_model", names=["cart_value"]).feature_set,
        make_profile([1.0], day=datetime.now(UTC).date() - timedelta(days=1)),
        PeriodicTask.objects.get(task="features.fit_weights"),
        ClockedSchedule.objects.create(clocked_time=datetime(2999, 1, 1, tzinfo=UTC)),
        CrontabSchedule.objects.create(minute="7"),
        IntervalSchedule.objects.create(every=77, period="days"),
        SolarSchedule.objects.create(event="sunset", latitude=1, longitude=1),
    ]
    return {type(row): row for row in rows if row is not None}


# --- What the forms send ------------------------------------------------------------------------------------------


def fields_of(world: World, page: str) -> dict[str, Any]:
    """Return what the form of a page sends, its hidden `shown` apart; nothing for a page that has no form."""
    makers: list[Callable[[World], dict[str, dict[str, Any]]]] = [access_fields, schedule_fields, feature_fields]
    known = {name: fields for maker in makers for name, fields in maker(world).items()}
    if page in known:
        return known[page]
    if page.endswith("/delete/"):
        return {"post": "yes"}
    if "/step/" in page:
        return {
            "reason": "A test", "at": "2999-01-01T00:00", "time_to_live": "60", "behavioral": "1.0",
            "backfill_since": f"{ago(days=1).date()}",
        }  # fmt: skip
    return {}


def access_fields(world: World) -> dict[str, dict[str, Any]]:
    user = {"username": "somebody", "is_active": "on", "date_joined_0": "2026-01-01", "date_joined_1": "00:00"}
    new = {"password1": PASSWORD + "1", "password2": PASSWORD + "1"}
    return {
        "access/apikey/add/": {"name": "shop", "scopes": ["read"], "requests_per_minute": ""},
        "access/apikey/<id>/change/": {"requests_per_minute": "77"},
        "access/apikey/<id>/revoke/": {"confirmed": "yes"},
        "access/apikey/<id>/rotate/": {"old_ends": "168"},
        "auth/user/add/": {"username": "new", "usable_password": "true", **new},
        "auth/user/<id>/change/": {**user, "email": "somebody@example.org"},
        "auth/user/<id>/password/": {"usable_password": "true", **new},
        "auth/group/add/": {"name": "another role"},
        "auth/group/<id>/change/": {"name": "a role renamed"},
        "events/eventtype/add/": {"name": "trial_ended", "label": "Trial ended"},
        "events/eventtype/<id>/change/": {"label": "Trial", "description": ""},
        "events/eventtype/<id>/archive/": {"reason": "No trials", "to": "archived"},
        "events/erasedcustomer/<id>/allow_again/": {"reason": "They came back"},
        "password_change/": {
            "old_password": PASSWORD, "new_password1": PASSWORD + "1", "new_password2": PASSWORD + "1",
        },
    }  # fmt: skip


def schedule_fields(world: World) -> dict[str, dict[str, Any]]:
    task = world.rows[PeriodicTask]
    assert isinstance(task, PeriodicTask)
    shared = {"task": task.task, "regtask": "", "enabled": "on", "args": "[]", "kwargs": "{}", "headers": "{}"}
    inline = {"periodictask_set-TOTAL_FORMS": "0", "periodictask_set-INITIAL_FORMS": "0"}
    moment = {"clocked_time_0": "2999-02-02", "clocked_time_1": "00:00"}
    crontab = {"minute": "9", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}
    of_model = {
        "periodictask": {**shared, "name": "Another", "interval": world.pk(IntervalSchedule)},
        "clockedschedule": {**moment, **inline},
        "crontabschedule": {**crontab, **inline, "timezone": "UTC"},
        "intervalschedule": {"every": "99", "period": "days"},
        "solarschedule": {"event": "sunset", "latitude": "2", "longitude": "2"},
    }
    return {
        f"django_celery_beat/{model}/{page}": fields
        for model, fields in of_model.items()
        for page in ("add/", "<id>/change/")
    }


def feature_fields(world: World) -> dict[str, dict[str, Any]]:
    last = datetime.now(UTC).date() - timedelta(days=14)
    numbers = {f"weight_{name}": "0.2" for name in EVENT_TYPES} | {f"norm_{name}": "10" for name in EVENT_TYPES}
    studio = {**numbers, "monetary_norm": "1000", "name": "Tried", "reason": "A test"}
    live = FeatureVersion.objects.get(feature_type="customer", state="live")
    kittens = {"name": "kittens", "feature_type": "customer", "description": "", "version_customer": live.pk}
    return {
        "features/featuredefinition/add/": kittens,
        "features/featuredefinition/preview/": kittens,
        "features/featuredefinition/<id>/change/": {"description": "How many", "owner": "Team", "unit": "", "tags": ""},
        "features/featureset/make/": {
            "name": "basket", "features": "cart_value", "reason": "A test",
            **dict.fromkeys(("customer", "behavioral", "contextual", "derived"), "1.0"),
        },
        "features/featureversion/draft/<type>/": {"number": "7.0", "based_on": "1.0", "reason": "A test"},
        "features/featureprofile/baseline/": {"first_day": FeatureProfile.objects.get().day.day, "reason": "A test"},
        "features/featureprofile/<id>/thresholds/": {"stability_index": "0.3", "largest_distance": "0.2"},
        "features/featureversion/<id>/features/": {"add": world.pk(FeatureDefinition)},
        "features/weightset/add/": numbers_in_rows(None),
        "features/weightset/<id>/change/": numbers_in_rows(WeightSet.objects.get(pk=world.pk(WeightSet))),
        "features/weightset/<id>/studio/": studio,
        "features/weightset/<id>/studio/preview/": studio,
        "features/weightset/<id>/backtests/": {
            "first_day": last, "last_day": last, "every_days": "7", "horizon_days": "14",
        },
    }  # fmt: skip


def numbers_in_rows(weight_set: WeightSet | None) -> dict[str, Any]:
    """Return the fields of the form with a row for each event type."""
    held = {} if weight_set is None else {row.event_type: row for row in weight_set.weights.all()}
    types = [*held, *(name for name in weighed_types() if name not in held)]
    number = str(len(types))
    fields: dict[str, Any] = {
        "name": "By hand", "reason": "A test", "monetary_norm": "1000", "weights-TOTAL_FORMS": number,
        "weights-INITIAL_FORMS": str(len(held)), "weights-MIN_NUM_FORMS": "0", "weights-MAX_NUM_FORMS": number,
    }  # fmt: skip
    for position, event_type in enumerate(types):
        of_row = {"event_type": event_type, "weight": "0.4", "norm": "10"}
        if event_type in held:
            of_row |= {"id": str(held[event_type].pk), "weight_set": str(held[event_type].weight_set_id)}
        fields |= {f"weights-{position}-{name}": value for name, value in of_row.items()}
    return fields


# --- What a request has changed -----------------------------------------------------------------------------------


def rows_written() -> dict[str, int]:
    """Return table → how many rows this transaction has inserted, updated and deleted so far."""
    with connection.cursor() as cursor:
        cursor.execute("select relname, n_tup_ins + n_tup_upd + n_tup_del from pg_stat_xact_user_tables")
        return {table: number for table, number in cursor.fetchall() if number and table not in NOT_COUNTED}


def logged_by(user: User) -> Iterator[tuple[str, int]]:
    """Yield each place that keeps who did what and when, with the number of its entries of this user."""
    yield "log", LogEntry.objects.filter(user=user).count()
    steps = (WeightSetStep, FeatureVersionStep)
    yield "timeline", sum(model._default_manager.filter(by=user).count() for model in steps)
    yield "the set", FeatureSet.objects.filter(made_by=user).count()
    yield "backtests", Backtest.objects.filter(created_by=user).count()
