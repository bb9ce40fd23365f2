"""Pages have a Content-Security-Policy without 'unsafe-inline', and nothing inline in them (the browser: tests/e2e)."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from unfold.settings import CONFIG_DEFAULTS

PROJECT = Path(__file__).resolve().parents[3]
TEMPLATES = [path for app in ("featurehub", "events", "features") for path in (PROJECT / app).rglob("*.html")]
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_template_has_a_style_or_a_script_in_it(path: Path) -> None:
    assert INLINE.findall(path.read_text()) == []


def test_the_colors_of_the_file_are_unfolds() -> None:
    css = (PROJECT / "features/static/features/colors.css").read_text()
    found = dict(re.findall(r"--color-([a-z]+-[a-z0-9-]+): (.*);", css))
    colors = CONFIG_DEFAULTS["COLORS"]
    assert found == {f"{name}-{weight}": value for name, weights in colors.items() for weight, value in weights.items()}


def test_pages_have_the_policy(db: None, client: Client) -> None:
    for path in ("/admin/login/", "/api/docs/", "/nowhere/"):
        policy = client.get(path).headers["Content-Security-Policy"]
        assert "unsafe-inline" not in policy
        assert ("unsafe-eval" in policy) is (path != "/api/docs/")
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy


def test_the_policy_names_no_other_host() -> None:
    sources = {source for named in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].values() for source in named}
    assert sources == {"'none'", "'self'", "'unsafe-eval'", "data:"}
