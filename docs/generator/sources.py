"""Pages for the files of the repository that pages of docs/ link to, so that the site needs no other host.

`features/online/README.md` is the page source/features/online/README.md of the site, and `events/models.py` the page
source/events/models.py.md, which shows the file.
"""

import html
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
BAR = "\\|"
PIPES = re.compile(r"`([^`]*\\\|[^`]*)`")
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".sh": "bash", ".js": "javascript", ".ts": "typescript", ".json": "json"}
PICTURES = (".svg",)
NOT_SEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"


def repository_path(src_uri: str) -> str:
    """Return where a page of the site stands in the repository."""
    return src_uri.removeprefix("source/") if src_uri.startswith("source/") else f"docs/{src_uri}"


def site_path(path: str, *, project: Path) -> str:
    """Return the page of the site for a file or folder of the repository."""
    if path == "docs" or path.startswith("docs/"):
        path = path.removeprefix("docs").lstrip("/")
        return posixpath.join(path, "README.md") if (project / "docs" / path).is_dir() else path
    if (project / path).is_dir():
        has_readme = (project / path / "README.md").is_file()
        return f"source/{path}/{'README' if has_readme else 'index'}.md"
    return f"source/{path}" if path.endswith((".md", *PICTURES)) else f"source/{path}.md"


def linked_file(target: str, *, in_repository: str, project: Path) -> str | None:
    """Return the path in the repository that a link of a page leads to; None where it leads to no file of it."""
    if "://" in target or target.startswith(("mailto:", "/")):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(in_repository), target))
    return path if (project / path).exists() else None


def files_linked_from(page: str, *, project: Path) -> Iterator[str]:
    """Yield the paths in the repository that the relative links of one of its pages lead to."""
    for _, target, _ in LINK.findall(FENCE.sub("", (project / page).read_text())):
        if path := linked_file(target, in_repository=page, project=project):
            yield path


def pages(project: Path) -> dict[str, str]:
    """Return src_uri → Markdown for all that pages link to outside of docs/, and what those pages link to."""
    navigated = in_navigation(project)
    made = {f"source/{path}": (project / path).read_text() for path in navigated}
    to_read = [path.relative_to(project).as_posix() for path in sorted((project / "docs").rglob("*.md"))] + navigated
    while to_read:
        for path in files_linked_from(to_read.pop(), project=project):
            src_uri = site_path(path, project=project)
            if path.startswith("docs/") or path == "docs" or src_uri in made:
                continue
            made[src_uri] = content_of(path, src_uri=src_uri, project=project)
            if src_uri in (f"source/{path}", f"source/{path}/README.md") and src_uri.endswith(".md"):
                to_read.append(src_uri.removeprefix("source/"))
    return made


def in_navigation(project: Path) -> list[str]:
    """Return the files outside of docs/ that the navigation names."""
    return re.findall(r"^ *- [^#\n]*\bsource/(\S+\.md)$", (project / "mkdocs.yml").read_text(), re.MULTILINE)


def content_of(path: str, *, src_uri: str, project: Path) -> str:
    """Return the page of a file or folder: Markdown as it is, code in a block, a folder as a list."""
    if src_uri.endswith("/README.md") and (project / path).is_dir():
        return (project / path / "README.md").read_text()
    if path.endswith((".md", *PICTURES)):
        return (project / path).read_text()
    if (project / path).is_dir():
        names = sorted(each.name for each in (project / path).iterdir() if not each.name.startswith(("__", ".")))
        return f"{NOT_SEARCHED}# {path}\n\n" + "\n".join(f"- `{name}`" for name in names) + "\n"
    language = LANGUAGES.get(posixpath.splitext(path)[1], "text")
    return f"{NOT_SEARCHED}# {path}\n\n`````{language}\n{(project / path).read_text()}\n`````\n"


def with_pipes(markdown: str) -> str:
    """Return the page with \\| in the code of its tables as GitHub shows it; Python-Markdown shows the backslash."""
    rows = (
        PIPES.sub(lambda code: f"<code>{html.escape(code[1]).replace(BAR, '&#124;')}</code>", line)
        if line.startswith("| ")
        else line
        for line in markdown.split("\n")
    )
    return "\n".join(rows)


def with_site_links(markdown: str, *, in_repository: str, project: Path) -> str:
    """Return the page with relative links to files of the repository made links to their pages of the site."""
    here = posixpath.dirname(site_path(in_repository, project=project))

    def replaced(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        path = linked_file(target, in_repository=in_repository, project=project)
        if path is None:
            return found[0]  # of another host, to a page that is made, or broken, which MkDocs reports
        return f"{before}{os.path.relpath(site_path(path, project=project), here or '.')}{after}"

    return LINK.sub(replaced, markdown)
