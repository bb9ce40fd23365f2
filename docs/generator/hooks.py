"""The hooks of MkDocs: add the pages that nobody writes, and make links to files outside docs/ lead into the site."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT))

from mkdocs.structure.files import File, Files  # noqa: E402

from docs.generator import from_code, from_schema, sources  # noqa: E402

DOCS = PROJECT / "docs"


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages of the reference, and a page for each file of the repository that a page links to."""
    for src_uri, content in {**reference_pages(), **sources.pages(PROJECT)}.items():
        files.append(File.generated(config, src_uri, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Make the links of pages that stand in the repository lead to pages of the site."""
    in_repository = sources.repository_path(page.file.src_uri)
    if not in_repository.endswith(".md") or not (PROJECT / in_repository).is_file():
        return sources.with_pipes(markdown)
    return sources.with_pipes(sources.with_site_links(markdown, in_repository=in_repository, project=PROJECT))


def reference_pages() -> dict[str, str]:
    schema = json.loads((DOCS / "openapi.json").read_text())
    definitions = json.loads((DOCS / "definitions.schema.json").read_text())
    contract = (DOCS / "contract.md").read_text()
    return {
        "reference/http.md": from_schema.http_page(schema),
        "reference/definitions-file.md": from_schema.definitions_page(definitions),
        "reference/settings.md": from_code.settings_page(PROJECT, contract=contract),
        "reference/metrics.md": from_code.metrics_page(PROJECT),
        "reference/commands.md": from_code.commands_page(described_commands()),
    }


def described_commands() -> list[dict[str, Any]]:
    """Ask the project's own Python, since this one has no Django."""
    python = os.environ.get("FEATUREHUB_PYTHON", str(PROJECT / ".venv/bin/python"))
    unused = {
        "DATABASE_URL": "postgresql://unused/unused", "REDIS_URL": "redis://unused", "SECRET_KEY": "unused",
        "ALLOWED_HOSTS": "unused", "FEATUREHUB_TOMBSTONE_KEY": "unused", "NO_COLOR": "1", "COLUMNS": "100",
    }  # fmt: skip
    command = [python, "-m", "docs.generator.commands"]
    done = subprocess.run(command, cwd=PROJECT, env=os.environ | unused, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)
