"""Versions that PostgreSQL can't aggregate, in shadow past the check of the step."""

from features.lifecycle.weight_set_steps import copy_to_version
from features.models import FeatureDefinition, FeatureVersion
from features.registry.weight_sets import active_set
from tests.factories import forget_registry, make_version

# Each window is a column of one list of columns, of which PostgreSQL takes 1,664.
TOO_MANY = 1_700


def force_into_shadow(number: str = "2.0", *, windows: int = TOO_MANY) -> FeatureVersion:
    """Return a version in shadow with so many windowed features of its own."""
    version = make_version(number=number)
    rows = FeatureDefinition.objects.bulk_create(
        FeatureDefinition(name=f"w{version.pk}_{n}", feature_type="behavioral", kind="count", window_hours=1 + n % 90)
        for n in range(windows)
    )
    version.definitions.add(*rows)
    FeatureVersion.objects.filter(pk=version.pk).update(state="shadow")
    copy_to_version(active_set("1.0"), version=version, by=None, reason="A test")
    forget_registry()
    return version
