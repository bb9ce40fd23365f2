"""A feature saved while its version leaves draft."""

from features.lifecycle.version_steps import put_into_shadow
from features.models import FeatureDefinition
from tests.at_once import during
from tests.factories import make_version
from tests.staff import log_in


def test_what_a_feature_means_does_not_change_while_its_version_leaves_draft(committed: None) -> None:
    version = make_version(logins_7d={"event_type": "login", "window": "7d"})
    definition = FeatureDefinition.objects.get(name="logins_7d")
    address = f"/admin/features/featuredefinition/{definition.pk}/change/"
    operator = log_in("operator")
    said: list[str] = []

    def save() -> None:
        answer = operator.post(address, {"kind": "count", "event_type": "login", "window_hours": "8d"}, follow=True)
        said.append(answer.content.decode())

    during(lambda: put_into_shadow(version.pk, by=None, reason="A test"), save)

    assert "logins_7d is in a version past draft by now: what it means does not change. Nothing was saved." in said[0]
    definition.refresh_from_db()
    assert definition.window_hours == 7 * 24
