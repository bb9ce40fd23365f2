"""Access in the admin: API keys for programs, users and roles for people."""

from typing import Any

from axes.models import AccessAttempt, AccessFailureLog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Exists, ManyToManyField, OuterRef, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RadioFilter
from unfold.dataclasses import UnfoldAction
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from featurehub.access.authentication import clients
from featurehub.access.key_forms import EDITED, ApiKeyForm, EditedKeyForm, RotationForm
from featurehub.access.logins import FAILURES_OF_AN_ADDRESS, lift_locks, still_counted
from featurehub.access.models import ApiKey, create_api_key, revoke_api_keys, rotate_api_key
from featurehub.access.role_forms import RoleForm
from featurehub.admin.large_tables import DayRangeFilter, ReadOnlyAdmin
from featurehub.admin.permissions import may, person
from featurehub.lib.errors import ConflictError

SHOWN_ONCE = (
    "This is the key of {}. Copy it now: only its hash is kept, and it can't be shown again."
    '<code class="hub-secret">{}</code>'
)


class StateFilter(RadioFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("valid", "Valid"), ("expired", "Expired"), ("revoked", "Revoked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        has_expired = Q(expires_at__lte=timezone.now())
        wanted = {
            "valid": Q(revoked_at__isnull=True) & ~has_expired,
            "expired": Q(revoked_at__isnull=True) & has_expired,
            "revoked": Q(revoked_at__isnull=False),
        }.get(self.value(), Q())
        return queryset.filter(wanted)


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    form = ApiKeyForm
    list_display = (
        *("name", "shown_prefix", "shown_scopes", "limit", "state"),
        *("last_used_at", "created_at", "expires_at", "revoked_at"),
    )
    list_filter = (StateFilter,)
    list_filter_submit = True
    show_facets = admin.ShowFacets.NEVER
    search_fields = ("name", "prefix")
    ordering = ("-id",)
    actions = ("revoke_selected",)
    actions_detail = ("rotate", "revoke")

    def get_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """Return the fields of a new key, else the columns of the list, of which those in EDITED can be edited."""
        if obj is None:
            return ("name", "scopes", *EDITED)
        return (*("requests_per_minute" if name == "limit" else name for name in self.list_display), "replaces")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        return () if obj is None else tuple(name for name in self.get_fields(request, obj) if name not in EDITED)

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, change: bool = False, **kwargs: Any) -> Any:
        return super().get_form(request, obj, change=change, **({"form": EditedKeyForm} if change else {}), **kwargs)

    # --- Who may do what ----------------------------------------------------------------------------------------------

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Return False for a revoked key. One that has expired can be given a later end."""
        is_valid = obj is None or obj.revoked_at is None
        return is_valid and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Return False: the list is the record of who had access."""
        return False

    def has_rotate_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "access.change_apikey") and may(request, "access.add_apikey")

    def has_revoke_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "access.change_apikey")

    # --- Columns ------------------------------------------------------------------------------------------------------

    @display(description="Begins with")
    def shown_prefix(self, key: ApiKey) -> str:
        return format_html("<code>{}…</code>", key.prefix)

    @display(description="Scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    @display(description="Requests per minute", empty_value="no limit")
    def limit(self, key: ApiKey) -> str | None:
        return None if key.requests_per_minute is None else f"{key.requests_per_minute:,}"

    @display(description="State", label={"valid": "success", "expired": "warning", "revoked": "danger"})
    def state(self, key: ApiKey) -> str:
        if key.revoked_at is not None:
            return "revoked"
        return "valid" if key.is_valid(timezone.now()) else "expired"

    # --- Making and revoking ------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: ApiKey, form: ApiKeyForm, change: bool) -> None:
        """Save a new limit or end, or create a key, whose text is shown in the next page's message and nowhere else."""
        if change:
            obj.save(update_fields=list(EDITED))
            transaction.on_commit(clients.forget)
            return
        made, key = create_api_key(
            obj.name,
            scopes=form.cleaned_data["scopes"],
            requests_per_minute=obj.requests_per_minute,
            expires_at=obj.expires_at,
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        messages.warning(request, format_html(SHOWN_ONCE, obj.name, key))

    @action(description="Rotate", icon="autorenew", permissions=["rotate"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask when the old key ends on GET, make its successor on POST, and show that once."""
        old = self.get_object(request, object_id)
        if old is None:
            raise Http404(f"There is no API key {object_id}.")
        form = RotationForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            try:
                made, key = self.rotate_and_log(request, old, form=form)
            except ConflictError as error:
                messages.error(request, error.detail)
                return HttpResponseRedirect(reverse("admin:access_apikey_change", args=[old.pk]))
            clients.forget()
            messages.warning(request, format_html(SHOWN_ONCE, made.name, key))
            return HttpResponseRedirect(reverse("admin:access_apikey_changelist"))
        context = {**self.admin_site.each_context(request), "title": "Rotate?", "opts": self.opts}
        return TemplateResponse(request, "access/rotate.html", {**context, "key": old, "form": form})

    @transaction.atomic
    def rotate_and_log(self, request: HttpRequest, old: ApiKey, *, form: RotationForm) -> tuple[ApiKey, str]:
        """Make the successor of a key as a valid form says, and log both. Return it with its text.

        Raises ConflictError as `rotate_api_key` does.
        """
        now = timezone.now()
        made, key = rotate_api_key(old.pk, old_ends_at=form.old_ends_at(now), expires_at=form.expires_at(), now=now)
        self.log_change(request, old, f"Rotated: {made} is its successor.")
        self.log_addition(request, made, f"Made as the successor of {old}.")
        return made, key

    @admin.action(description="Revoke selected keys", permissions=["revoke"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> HttpResponse:
        """Ask for confirmation, then revoke."""
        return self.confirm(request, queryset)

    @action(description="Revoke", icon="block", variant=ActionVariant.DANGER, permissions=["revoke"])
    def revoke(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for confirmation on a page of its own, then revoke."""
        key = self.get_object(request, object_id)
        if key is None:
            raise Http404(f"There is no API key {object_id}.")
        return self.confirm(request, ApiKey.objects.filter(pk=key.pk))

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> list[UnfoldAction]:
        """Return no actions for a key that is not valid any more."""
        key = self.get_object(request, object_id)
        is_valid = key is not None and key.is_valid(timezone.now())
        return super().get_actions_detail(request, object_id) if is_valid else []

    def confirm(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> HttpResponse:
        """Show the page that asks for confirmation; on a POST with `confirmed`, revoke and return to the list."""
        valid = list(keys.filter(revoked_at__isnull=True))
        listed = HttpResponseRedirect(reverse("admin:access_apikey_changelist"))
        if not valid:
            messages.info(request, "Nothing to revoke: no valid key is among these.")
            return listed
        if request.method != "POST" or "confirmed" not in request.POST:
            context = {"title": "Revoke?", "opts": self.opts, "keys": valid, "seconds": settings.SNAPSHOT_SECONDS}
            return TemplateResponse(request, "access/revoke.html", {**self.admin_site.each_context(request), **context})
        with transaction.atomic():
            revoke_api_keys([key.pk for key in valid])
            for key in valid:
                self.log_change(request, key, "Revoked.")
        clients.forget()
        messages.success(request, f"Revoked: {', '.join(map(str, valid))}.")
        return listed


admin.site.unregister(User)
admin.site.unregister(Group)
# One name for one thing. Migrations look at what the class was written with, so that they see no change.
Group._meta.verbose_name, Group._meta.verbose_name_plural = "role", "roles"


class RoleFilter(RadioFilter):
    title = "role"
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(str(pk), name) for pk, name in Group.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        role = self.value() or ""
        return queryset.filter(groups=int(role)) if role.isascii() and role.isdecimal() else queryset


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    # Permissions come with roles; somebody who needs other ones than these has is a reason for another role.
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        (
            "What they may do",
            {
                "fields": ("is_active", "is_staff", "is_superuser", "groups"),
                "description": "The staff status lets somebody log in here; a role says what they may do then.",
            },
        ),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()
    formfield_overrides = {ManyToManyField: {"widget": UnfoldAdminCheckboxSelectMultipleWidget}}
    readonly_fields = ("last_login", "date_joined")
    list_display = ("username", "email", "roles", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_staff", "is_superuser", "is_active", RoleFilter)

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Return the fields; without the password's hash for those who may only look."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**parts, "fields": tuple(name for name in parts["fields"] if name != "password")})
            for title, parts in fieldsets
        ]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.label, field.help_text = "Roles", "Somebody with several roles may do what each of them may do."
        return field

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups")

    @transaction.atomic
    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:
        """Show the form, or change somebody's password and log that."""
        return super().user_change_password(request, id, form_url)

    @display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(sorted(group.name for group in user.groups.all())) or "none"


@admin.register(Group)
class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    filter_horizontal = ()
    form = RoleForm


class LoginAdmin(ReadOnlyAdmin):
    """The base of the pages about failed logins. It shows only names that a user has: others may be passwords."""

    search_fields = ("ip_address",)
    search_help_text = "An address or its beginning"
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        known = User.objects.filter(username=OuterRef("username"))
        return rows.annotate(is_known=Exists(known))  # type: ignore[no-any-return]

    @display(description="User name")
    def who(self, row: Any) -> str:
        return str(row.username) if row.is_known else "unknown"


@admin.register(AccessFailureLog)
class FailedLoginAdmin(LoginAdmin):
    list_display = ("attempt_time", "who", "ip_address", "outcome")
    list_filter = (("attempt_time", DayRangeFilter), "locked_out")
    list_filter_submit = True
    fields = readonly_fields = ("attempt_time", "who", "ip_address", "user_agent", "outcome")

    @display(description="Outcome", label={"failed": "info", "failed, then locked": "warning"})
    def outcome(self, row: AccessFailureLog) -> str:
        return "failed, then locked" if row.locked_out else "failed"


@admin.register(AccessAttempt)
class LockedLoginAdmin(LoginAdmin):
    list_display = ("who", "ip_address", "failures_since_start", "attempt_time", "state")
    fields = readonly_fields = ("who", "ip_address", "user_agent", "failures_since_start", "attempt_time", "state")
    actions = ("lift",)  # type: ignore[assignment]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the failures that still count."""
        return still_counted(super().get_queryset(request), now=timezone.now())

    @display(description="State", label={"counted": "info", "locked": "warning", "address locked": "danger"})
    def state(self, row: Any) -> str:
        if row.of_address >= FAILURES_OF_AN_ADDRESS:
            return "address locked"
        return "locked" if row.of_user >= settings.AXES_FAILURE_LIMIT else "counted"

    def has_lift_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return may(request, "axes.delete_accessattempt")

    @admin.action(description="Forget all failures of the selected addresses", permissions=["lift"])
    @transaction.atomic
    def lift(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Forget the failures of the rows' addresses, and log who did that."""
        addresses = sorted(set(queryset.values_list("ip_address", flat=True)))
        named = ", ".join(addresses)
        LogEntry.objects.log_actions(person(request).pk, queryset, DELETION, f"Forgot the failed logins from {named}.")
        lift_locks(addresses)
        messages.success(request, f"Logins from {named} are possible again.")
