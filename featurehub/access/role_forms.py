"""The form of a role: its permissions as checkboxes, under the names of the lists that they are about."""

from itertools import groupby
from typing import Any

from django import forms
from django.contrib.auth.models import Group, Permission
from django.db.models import QuerySet
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

# Apps without a page in the admin.
WITHOUT_PAGES = ("admin", "contenttypes", "sessions")
# What Django gives each model a permission for.
STANDARD = ("add", "change", "delete", "view")


class PermissionsByModel(forms.models.ModelChoiceIterator):  # type: ignore[type-arg]
    """The permissions as choices, in groups: name of the model in the plural → its permissions."""

    def __iter__(self) -> Any:
        for model, permissions in groupby(self.queryset, key=lambda permission: permission.content_type):
            name = str(found._meta.verbose_name_plural) if (found := model.model_class()) else model.model
            yield name[:1].upper() + name[1:], [self.choice(permission) for permission in permissions]


class PermissionsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    iterator = PermissionsByModel

    def label_from_instance(self, permission: Permission) -> str:
        """Return the permission without the name of its model: "Can view", or a sentence of our own."""
        action, _, model = permission.codename.partition("_")
        is_plain = action in STANDARD and model == permission.content_type.model
        return f"Can {action}" if is_plain else permission.name


def permissions_with_pages() -> QuerySet[Permission]:
    """Return the permissions of all models that the admin has pages for, by model."""
    known = Permission.objects.exclude(content_type__app_label__in=WITHOUT_PAGES)
    return known.select_related("content_type").order_by("content_type__app_label", "content_type__model", "pk")


class RoleForm(forms.ModelForm):  # type: ignore[type-arg]
    permissions = PermissionsField(
        permissions_with_pages(), required=False, widget=UnfoldAdminCheckboxSelectMultipleWidget()
    )

    class Meta:
        model = Group
        fields = ("name", "permissions")
