"""Generated behaviour of customers around their real purchases.

The seed is fixed, so that every load generates the same events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any

from events.event_types import EMAIL_CLICK, EMAIL_OPEN, FORM_SUBMIT, LOGIN, PAGE_VIEW, PURCHASE
from events.validation import NewEvent
from features.demo.purchases import Purchase

SEED = "FeatureHub demo 1"
EVENT_ID_PREFIX = "demo-"
MUSIC_CATEGORIES = ("rock", "pop", "jazz", "classical", "country", "soundtracks", "hip-hop", "world")
FORMS = ("review", "wish-list", "newsletter", "question")
DAY = 86_400.0
PERIOD = 30 * DAY
PERIODS = 3
# The share of the customers without a purchase in a period who visit in it.
BROWSING_SHARE = 1 / 7


@dataclass(slots=True)
class Shopper:
    """A customer with habits of their own.

    Times are seconds before `now`, so that no event is in the future.
    """

    customer_id: str
    now: datetime
    random: Random = field(init=False)
    serial: Iterator[int] = field(init=False)
    favourite: str = field(init=False)
    pages_per_visit: float = field(init=False)
    form_chance: float = field(init=False)

    def __post_init__(self) -> None:
        self.random = Random(f"{SEED} {self.customer_id}")  # noqa: S311 - the data must be the same every time
        self.serial = count(1)
        self.favourite = self.random.choice(MUSIC_CATEGORIES)
        self.pages_per_visit = self.random.uniform(2.0, 6.0)
        self.form_chance = self.random.uniform(0.1, 0.9)

    def event(self, event_type: str, ago: float, *, session: str | None = None, **metadata: Any) -> NewEvent:
        """Return an event `ago` seconds before now, with the customer's next event_id."""
        return NewEvent(
            event_id=f"{EVENT_ID_PREFIX}{self.customer_id}-{next(self.serial):05d}",
            customer_id=self.customer_id,
            event_type=event_type,
            timestamp=self.now - timedelta(seconds=round(ago)),
            session_id=session,
            metadata=metadata,
        )

    def category(self) -> str:
        return self.favourite if self.random.random() < 0.6 else self.random.choice(MUSIC_CATEGORIES)

    def visit(self, end: float, *, purchase: Purchase | None = None) -> Iterator[NewEvent]:
        """Yield the events of a session that ends `end` seconds before now, with a purchase or without."""
        session = f"{self.customer_id}-{round(end)}"
        category = self.category()
        ago = end
        if purchase is not None:
            yield self.event(
                PURCHASE, ago, session=session, amount=purchase.amount, category=category, items=purchase.items
            )
        if self.random.random() < self.form_chance:
            ago += self.random.uniform(5, 120)
            yield self.event(FORM_SUBMIT, ago, session=session, form=self.random.choice(FORMS))
        for _ in range(max(1, round(self.random.gauss(self.pages_per_visit, 1.5)))):
            ago += self.random.uniform(5, 180)
            yield self.event(PAGE_VIEW, ago, session=session, category=category, path=f"/music/{category}")
        if self.random.random() < 0.85:
            ago += self.random.uniform(2, 30)
            yield self.event(LOGIN, ago, session=session)

    def read_email(self, ago: float, *, click_chance: float) -> Iterator[NewEvent]:
        """Yield an e-mail open `ago` seconds before now, and perhaps a click half a minute later."""
        campaign = f"week-{round(ago / (7 * DAY))}"
        yield self.event(EMAIL_OPEN, ago, campaign=campaign)
        if self.random.random() < click_chance:
            yield self.event(EMAIL_CLICK, max(ago - 30, 0), campaign=campaign)

    def buy(self, purchase: Purchase) -> Iterator[NewEvent]:
        """Yield the session of a purchase, at a random time of its day, and perhaps the e-mail that led to it."""
        end = (purchase.days_ago + self.random.random()) * DAY
        if self.random.random() < 0.4:
            yield from self.read_email(end + self.random.uniform(0.05, 2) * DAY, click_chance=0.7)
        yield from self.visit(end, purchase=purchase)

    def zeal(self, bought: int) -> float:
        """Return how active the customer is in a period, from 0 (no visit) to 1.2 (beyond every norm).

        `bought` is the number of purchases in the period.
        """
        if not bought and self.random.random() > BROWSING_SHARE:
            return 0.0
        eagerness: float = self.random.random() ** 1.7
        return min(1.2, eagerness + 0.1 * bought)

    def look_around(self, period: int, *, zeal: float) -> Iterator[NewEvent]:
        """Yield visits without a purchase and e-mails of a period; period 0 is the last 30 days."""
        start = period * PERIOD
        for _ in range(round(32 * zeal)):
            yield from self.visit(start + self.random.random() * PERIOD)
        click_chance = self.random.uniform(0.05, 0.6)
        for _ in range(round(55 * zeal)):
            yield from self.read_email(start + self.random.random() * PERIOD, click_chance=click_chance)


def events_of(purchases: Sequence[Purchase], *, now: datetime) -> Iterator[NewEvent]:
    """Yield all events of one customer: purchases with the events around them, and visits of the last 90 days."""
    shopper = Shopper(purchases[0].customer_id, now)
    for purchase in purchases:
        yield from shopper.buy(purchase)
    for period in range(PERIODS):
        bought = sum(1 for purchase in purchases if purchase.days_ago * DAY // PERIOD == period)
        yield from shopper.look_around(period, zeal=shopper.zeal(bought))
