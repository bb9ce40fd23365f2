"""Make what is published of a release in dist/: archives, the SBOM, and the SHA-256 of each file.

The version is the tag of the commit, v1.2.3, and stands nowhere else: the files that have to name it get it here, in a
copy. Everything is made from what is committed, and the same commit gives the same bytes.
"""

import argparse
import gzip
import hashlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
TAG = re.compile(r"v(\d+\.\d+\.\d+)")
# The files that name the version, and the pattern of the line that does; what stands around the number is kept.
VERSIONED = {
    "pyproject.toml": r'^(version = ")[^"]+(")$',
    "deploy/chart/Chart.yaml": r'^((?:version: |appVersion: "))[^"\n]+("?)$',
    "clients/python/pyproject.toml": r'^(version = ")[^"]+(")$',
    "clients/typescript/package.json": r'^(  "version": ")[^"]+(",)$',
}


class ReleaseRefused(Exception):
    """A state that nothing can be released from; the message is a sentence."""


def make_release(*, folder: Path, tools: Path, clients: bool) -> list[Path]:
    """Fill the folder, and return its files; `tools` holds the programs of deploy/requirements.txt."""
    version = version_of_tag()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / f"featurehub-{version}"
        export_commit(source)
        write_version(source, version)
        pack(source, folder / f"{source.name}.tar.gz", root=source.name)
        pack(source / "deploy/chart", folder / f"featurehub-{version}.tgz", root="featurehub")
        write_sbom(source, folder / f"featurehub-{version}.cdx.json", tools=tools)
        if clients:
            pack_clients(source, folder)
    return write_hashes(folder)


def version_of_tag() -> str:
    """Return the version that the tag of HEAD names. Raise ReleaseRefused without one, or with uncommitted changes."""
    if git("status", "--porcelain", "--untracked-files=no"):
        raise ReleaseRefused("There are changes that are not committed: a release is made of a commit.")
    tags = [match[1] for tag in git("tag", "--points-at", "HEAD").split() if (match := TAG.fullmatch(tag))]
    if len(tags) != 1:
        raise ReleaseRefused(f"HEAD must have one tag such as v1.2.3, and has {len(tags)}: git tag v1.2.3")
    return tags[0]


def export_commit(folder: Path) -> None:
    """Write the files of HEAD into the folder, with the time of the commit."""
    folder.mkdir()
    archive = folder.parent / "commit.tar"
    git("archive", "--output", str(archive), "HEAD")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


def write_version(source: Path, version: str) -> None:
    """Put the version into each file that names one. Raise ReleaseRefused where a file has no such line."""
    for name, pattern in VERSIONED.items():
        file = source / name
        if not file.exists():
            continue
        text, count = re.subn(pattern, rf"\g<1>{version}\g<2>", file.read_text(), flags=re.MULTILINE)
        if count == 0:
            raise ReleaseRefused(f"{name} has no line that names a version.")
        file.write_text(text)


def pack(folder: Path, archive: Path, *, root: str) -> None:
    """Pack the folder under the name `root`. The same files give the same bytes: owners and times are left out."""
    moment = int(git("log", "-1", "--format=%ct"))

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mtime = moment
        member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
        return member

    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=moment) as packed,
        tarfile.open(fileobj=packed, mode="w") as files,
    ):
        for path in sorted(folder.rglob("*")):
            files.add(path, arcname=f"{root}/{path.relative_to(folder)}", recursive=False, filter=plain)


def write_sbom(source: Path, file: Path, *, tools: Path) -> None:
    """Write what production installs as CycloneDX, from requirements.lock, with the hashes that are installed by."""
    command = [
        str(tools / "cyclonedx-py"), "requirements", "requirements.lock", "--pyproject", "pyproject.toml",
        "--mc-type", "application", "--output-reproducible", "--output-format", "JSON", "--output-file", str(file),
    ]  # fmt: skip
    run(command, folder=source)


def pack_clients(source: Path, folder: Path) -> None:
    """Pack the clients: for npm where there is Node.js, for PyPI where the client is there."""
    typescript, python = source / "clients/typescript", source / "clients/python"
    if typescript.exists() and shutil.which("npm"):
        shutil.copy(source / "LICENSE", typescript)
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder=typescript)
        run(["npm", "pack", "--pack-destination", str(folder)], folder=typescript)
    if python.exists():
        run(
            [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), "."],
            folder=python,
        )


def write_hashes(folder: Path) -> list[Path]:
    """Write SHA256SUMS, which `sha256sum --check` reads. Return all files."""
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in released(folder)]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    return list(released(folder))


def released(folder: Path) -> Iterator[Path]:
    """Yield the files of the folder by name."""
    yield from sorted(path for path in folder.iterdir() if path.is_file())


def git(*arguments: str) -> str:
    """Return the output of a git command in the project."""
    return run(["git", *arguments], folder=PROJECT).strip()


def run(command: Sequence[str], *, folder: Path) -> str:
    """Return the output of a program. Raise ReleaseRefused with what it says where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ReleaseRefused(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Read the options, and print the files that were made."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=PROJECT / "dist", help="the folder to fill; it is emptied first")
    parser.add_argument("--tools", type=Path, default=Path(sys.executable).parent, help="the folder of cyclonedx-py")
    parser.add_argument("--without-clients", action="store_true", help="leave the packages of the clients out")
    options = parser.parse_args()
    try:
        files = make_release(folder=options.to.resolve(), tools=options.tools, clients=not options.without_clients)
    except ReleaseRefused as refused:
        sys.exit(str(refused))
    for file in files:
        print(f"{file.stat().st_size:>10,}  {file.name}")


if __name__ == "__main__":
    main()
