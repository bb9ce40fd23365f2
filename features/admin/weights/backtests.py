"""Backtests in the admin: the form for the days, the progress, and the result with its pictures."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from featurehub.admin.permissions import may, person
from featurehub.lib.errors import FeatureHubError
from features.admin.weights.charts import calibration_chart, lift_chart
from features.models import Backtest, WeightSet
from features.registry.weight_sets import as_weights
from features.tuning import backtest
from features.tuning.backtest import EVERY_DAYS, HORIZON_DAYS

# From the first to the last day that the form proposes.
WEEKS = 8


class DaysForm(forms.Form):
    """The days to score, and how long after each to look for purchases."""

    first_day = forms.DateField(
        label="First day to score", widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        error_messages={"invalid": "Choose a day.", "required": "Choose a day."},
    )  # fmt: skip
    last_day = forms.DateField(
        label="Last day to score", widget=UnfoldAdminTextInputWidget(attrs={"type": "date"}),
        error_messages={"invalid": "Choose a day.", "required": "Choose a day."},
    )  # fmt: skip
    every_days = forms.IntegerField(
        label="Days from one to the next", max_value=365, widget=UnfoldAdminTextInputWidget(attrs={"type": "number"})
    )
    horizon_days = forms.IntegerField(
        label="Days to look for purchases after each",
        max_value=365,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "number"}),
    )


def first_choice(today: date) -> dict[str, Any]:
    """Return the form's initial values: the newest weeks whose purchases are known."""
    last = today - timedelta(days=HORIZON_DAYS)
    first = last - timedelta(weeks=WEEKS)
    return {"first_day": first, "last_day": last, "every_days": EVERY_DAYS, "horizon_days": HORIZON_DAYS}


def start_page(request: HttpRequest, *, pk: int, context: dict[str, Any]) -> HttpResponse:
    """Ask for the days on GET, start the backtest and go to its page on POST."""
    weight_set = get_object_or_404(WeightSet.objects.select_related("version").prefetch_related("weights"), pk=pk)
    if not may(request, "features.view_weightset"):
        raise PermissionDenied
    today = datetime.now(UTC).date()
    form = DaysForm(request.POST or None, initial=first_choice(today))
    if request.method == "POST":
        if not may(request, "features.change_weightset"):
            raise PermissionDenied
        if form.is_valid():
            try:
                started = backtest.start_backtest(weight_set, today=today, by=person(request), **form.cleaned_data)
            except FeatureHubError as error:
                form.add_error(error.attr, error.detail)
            else:
                return HttpResponseRedirect(reverse("admin:features_weightset_backtest", args=[started.pk]))
    values = {
        "title": f"Backtest: {weight_set.name}",
        "weight_set": weight_set,
        "form": form,
        "may_start": may(request, "features.change_weightset"),
        "earlier": weight_set.backtests.select_related("against"),
    }
    return TemplateResponse(request, "features/weights/backtest_start.html", {**context, **values})


def result_page(request: HttpRequest, *, pk: int, context: dict[str, Any]) -> HttpResponse:
    """Show the progress, for which htmx polls, then the result."""
    if not may(request, "features.view_weightset"):
        raise PermissionDenied
    held = get_object_or_404(Backtest.objects.select_related("weight_set", "against"), pk=pk)
    values: dict[str, Any] = {"title": f"Backtest: {held.weight_set.name}", "backtest": held}
    result = held.result
    if result is not None and "problem" not in result:
        deciles = result["active"]["deciles"], result["tried"]["deciles"]
        values |= {
            "charts": [
                (lift_chart(*deciles), LIFT_IN_WORDS),
                (calibration_chart(*deciles), CALIBRATION_IN_WORDS),
            ],
            "rows": list(zip(*deciles, strict=True)),
            "verdict": verdict(result["auc_change"]),
        }
    template = "backtest_part" if request.headers.get("HX-Request") else "backtest"
    return TemplateResponse(request, f"features/weights/{template}.html", {**context, **values})


def last_backtest(weight_set: WeightSet) -> dict[str, Any]:
    """Return the template context of the set's newest backtest; empty where there is none."""
    newest = weight_set.backtests.select_related("against").first()
    if newest is None:
        return {}
    result = newest.result
    is_judged = result is not None and "problem" not in result
    return {
        "last_backtest": newest,
        "last_verdict": verdict(result["auc_change"]) if is_judged and result is not None else "",
        "is_of_other_numbers": newest.numbers != backtest.weights_as_json(as_weights(weight_set)),
    }


LIFT_IN_WORDS = (
    "Customers in ten equal parts by their score, the highest on the left: how many times the average purchase rate "
    "each part reached. A good score starts high and falls."
)
CALIBRATION_IN_WORDS = (
    "The same ten parts: the share that purchased, over the mean score of the part. A good score rises steadily."
)


def verdict(change: dict[str, float]) -> str:
    """Return a sentence about the difference of the two AUCs."""
    if change["low"] > 0:
        return "These weights predict purchases better than the active ones."
    if change["high"] < 0:
        return "These weights predict purchases worse than the active ones."
    return "No clear difference on these days: it may be chance."
