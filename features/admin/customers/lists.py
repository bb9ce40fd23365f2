"""The page of customer lists: a form and the customers; then, asked for by itself, their number, figures, segments."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from featurehub.admin.own_pages import OwnPages
from featurehub.admin.permissions import person
from featurehub.lib.errors import InvalidError
from featurehub.lib.humanize import brief
from features.admin.customers.list_csv import csv_response
from features.admin.customers.list_form import (
    COMPARISON_WORDS,
    EMPTY_ROWS,
    ENGAGEMENT,
    ListForm,
    choices,
    name_in_words,
    ready_made,
)
from features.registry.list_layout import ListLayout, list_layout
from features.registry.snapshot import registry_snapshot
from features.serving.customer_lists import BY_CUSTOMER_ID, CustomerList
from features.serving.list_pages import Figures, list_at, read_figures, read_list, share_filled
from features.serving.list_segments import CATEGORY, parse_edges, read_segments

ROWS_PER_LIST = 50
LISTS_URL = "admin:features_customer_lists"
EMPTY_CELL = "–"


class CustomerListPages(OwnPages):
    """The pages of customer lists, for the admin of customers."""

    def get_urls(self) -> list[URLPattern]:
        pages = [
            path("lists/", self.admin_site.admin_view(self.lists), name="features_customer_lists"),
            path(
                "lists/figures/", self.admin_site.admin_view(self.list_figures), name="features_customer_lists_figures"
            ),
            path("lists/csv/", self.admin_site.admin_view(self.lists_csv), name="features_customer_lists_csv"),
        ]
        return [*pages, *super().get_urls()]

    def lists(self, request: HttpRequest) -> HttpResponse:
        """Show the list that the address asks for: the most engaged customers at first."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        layout = list_layout(registry_snapshot.get())
        form = form_of(request, layout=layout)
        context = {
            **self.page_context(request),
            "title": "Customer lists",
            "filled": round(100 * share_filled()),
            **form_context(form, layout=layout),
            **page_of_list(form, cursor=request.GET.get("cursor")),
        }
        return TemplateResponse(request, "features/customers/lists.html", context)

    def list_figures(self, request: HttpRequest) -> HttpResponse:
        """Show the number of the list's customers, their means and totals, and its segments: a part of the page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = form_of(request, layout=list_layout(registry_snapshot.get()))
        context = {"form": form, **figures_of_list(form, cursor=request.GET.get("cursor"))}
        return TemplateResponse(request, "features/customers/list_figures.html", context)

    def lists_csv(self, request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
        """Send the list as CSV and log that, or go back to its page with the reason why not."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = form_of(request, layout=list_layout(registry_snapshot.get()))
        try:
            asked, _ = list_at(None, order=form.order_and_direction, conditions=form.conditions())
            return csv_response(asked, by=person(request), filters=form.in_words)
        except InvalidError as error:
            messages.error(request, error.detail)
            return HttpResponseRedirect(f"{reverse(LISTS_URL)}?{form.query().urlencode()}")


def form_of(request: HttpRequest, *, layout: ListLayout) -> ListForm:
    return ListForm.of(request.GET, default_order=ENGAGEMENT if ENGAGEMENT in layout.columns else BY_CUSTOMER_ID)


def form_context(form: ListForm, *, layout: ListLayout) -> dict[str, Any]:
    """Return what the form offers and what was chosen."""
    names = [*layout.columns, BY_CUSTOMER_ID]
    return {
        "form": form,
        "rows": [*form.rows, *[("", ">=", "")] * EMPTY_ROWS],
        "orders": [(name, name_in_words(name)) for name in names],
        "choices": choices(layout),
        "operators": COMPARISON_WORDS,
        "segmentations": {"": [(CATEGORY, name_in_words(CATEGORY))], **choices(layout)},
        "questions": ready_made(layout),
        "query": form.query().urlencode(),
    }


def page_of_list(form: ListForm, *, cursor: str | None) -> dict[str, Any]:
    """Return the page of the list; where it takes too long, or can't be made, the reason."""
    try:
        asked, after = list_at(cursor, order=form.order_and_direction, conditions=form.conditions())
        page = read_list(asked, limit=ROWS_PER_LIST, after=after)
        headings = headings_of(asked, form=form)
    except InvalidError as error:
        return {"error": error.detail}
    return {
        "headings": headings,
        "is_first": cursor is None,
        "page": page,
        "customers": [
            {"id": row.customer_id, "address": address_of(row.customer_id), "cells": cells(row.values, asked.names)}
            for row in page.rows
        ],
        "next": form.query(cursor=page.next).urlencode() if page.next else "",
        "figures_query": form.query(cursor=cursor or "").urlencode(),
    }


def figures_of_list(form: ListForm, *, cursor: str | None) -> dict[str, Any]:
    """Return the number, figures and segments of the list at the moment of its page; where that fails, the reason."""
    found: dict[str, Any] = {"all": None, "segments": None, "error": ""}
    try:
        asked, _ = list_at(cursor, order=form.order_and_direction, conditions=form.conditions())
        found["headings"] = [name_in_words(name) for name in asked.names]
        found["all"] = read_figures(asked)
        found["figures"] = [
            ("Mean", cells(found["all"].means, asked.names)),
            ("Total", cells(found["all"].totals, asked.names)),
        ]
        if form.by:
            found["segments"] = segments_context(asked, form=form, of=found["all"])
    except InvalidError as error:
        found["error"] = error.detail
    return found


def headings_of(asked: CustomerList, *, form: ListForm) -> list[dict[str, str]]:
    """Return the headings with the queries that sort by them."""
    return [
        {
            "words": name_in_words(name),
            "query": form.query(order=name, direction=other_direction(form, name)).urlencode()
            if name in asked.layout.columns
            else "",
            "sorted": ("ascending" if form.direction == "asc" else "descending") if form.order == name else "",
        }
        for name in asked.names
    ]


def other_direction(form: ListForm, name: str) -> str:
    """Return the direction in which a click on a heading sorts: descending at first, then the other one."""
    return "asc" if form.order == name and form.direction == "desc" else "desc"


def address_of(customer_id: str) -> str:
    return reverse("admin:features_customer_change", args=[quote(customer_id)])


def cells(values: Sequence[float | None], names: Sequence[str]) -> list[dict[str, str]]:
    """Return the values as texts, each with its heading, which stands beside it on a phone."""
    return [
        {"label": name_in_words(name), "text": EMPTY_CELL if value is None else brief(round(value, 4))}
        for name, value in zip(names, values, strict=True)
    ]


def segments_context(asked: CustomerList, *, form: ListForm, of: Figures) -> dict[str, Any]:
    """Return the segments with their share of the customers, and means or totals."""
    found = read_segments(asked, by=form.by, edges=parse_edges(form.ranges))
    customers = found.sampled or of.customers
    rows = [
        {
            "name": segment.name,
            "customers": brief(segment.figures.customers),
            "share": brief(round(100 * segment.figures.customers / customers, 1)) if customers else EMPTY_CELL,
            "cells": cells(segment.figures.means if form.shown == "means" else segment.figures.totals, asked.names),
        }
        for segment in found.segments
    ]
    return {"by": name_in_words(form.by), "rows": rows, "sampled": found.sampled}
