"""Check the Dockerfile, compose.yaml and the chart without a container engine and a cluster: `make check-deploy`.

What linters and schemas say is theirs; this checks what they can't know: that the parts fit each other, and that every
pod is what docs/deployment.md says of it. Prints each thing that is wrong, and exits with 1 where there is one.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate
import yaml

PROJECT = Path(__file__).resolve().parent.parent
CHART = PROJECT / "deploy/chart"
# The manifests are held to the oldest Kubernetes that the chart is made for, and to the newest whose schemas there are.
OLDEST = re.search(r">=(\d+\.\d+)", (CHART / "Chart.yaml").read_text())
ALL_ON = CHART / "ci/all-on-values.yaml"
# Helm's number for it; an error is above.
WARNING = 2
SERVICES = {
    *("front", "reads", "api", "admin", "worker", "beat", "migrations"),
    *("postgres", "features", "broker", "prometheus", "grafana"),
}
IMAGE_WITH_VERSION = re.compile(r"^[a-z0-9./-]+:v?\d[\d.]*$")
SECRETS = {"DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "SECRET_KEY", "FEATUREHUB_TOMBSTONE_KEY"}
# KEDA's own kind, whose schema is part of KEDA: the fields of it that the chart sets, all of which it has to.
SCALED_OBJECT = {
    *("scaleTargetRef", "minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod"),
    *("fallback", "triggers"),
}
Manifest = dict[str, Any]


def programs_of_procfile() -> set[str]:
    """Return the names of the programs of the Procfile."""
    return {line.split(":")[0] for line in (PROJECT / "Procfile").read_text().splitlines()}


# --- The Dockerfile ---------------------------------------------------------------------------------------------------
def wrong_in_dockerfile() -> Iterator[str]:
    """Yield what is wrong in the Dockerfile: files that are not there, or that .dockerignore keeps out."""
    allowed = [line[1:] for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    yield from (f".dockerignore names {name}, which is not there" for name in allowed if not (PROJECT / name).exists())
    text = (PROJECT / "Dockerfile").read_text()
    for script in re.findall(r"deploy/image/[a-z]+\.(?:sh|py)", text):
        if not (PROJECT / script).exists():
            yield f"the Dockerfile names {script}, which is not there"
    last = text.rsplit("\nFROM ", 1)[1]
    if not re.search(r"^USER [1-9]\d*:[1-9]\d*$", last, re.MULTILINE):
        yield "the last stage of the Dockerfile has no numeric user other than root"
    if re.search(r"gcc|build-essential|-dev\b", last):
        yield "the last stage of the Dockerfile has build tools"


# --- compose.yaml -----------------------------------------------------------------------------------------------------
def wrong_in_compose() -> Iterator[str]:
    """Yield what is wrong in compose.yaml."""
    compose = yaml.safe_load((PROJECT / "compose.yaml").read_text())
    services: dict[str, Manifest] = compose["services"]
    if set(services) != SERVICES:
        yield f"services are missing or new: {set(services) ^ SERVICES}"
    ran = {service["environment"].get("FEATUREHUB_PROGRAM") for service in services.values() if "build" in service}
    if ran - {None} != programs_of_procfile():
        yield f"the programs of the Procfile are not those that run: {ran}"
    for name, service in services.items():
        for problem in wrong_in_service(service, volumes=set(compose["volumes"])):
            yield f"{name}: {problem}"


def wrong_in_service(service: Manifest, *, volumes: set[str]) -> Iterator[str]:
    """Yield what is wrong in a service; `volumes` are the named ones."""
    if "build" not in service and not IMAGE_WITH_VERSION.match(service["image"]):
        yield f"the image {service['image']} has no version"
    if service.get("cap_drop") != ["ALL"] and "postgres" not in service["image"]:
        yield "it has capabilities"
    if "build" in service and not service["read_only"]:
        yield "its root file system can be written to"
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            if not (PROJECT / source).exists():
                yield f"{source} is not there"
        elif source not in volumes:
            yield f"{source} is no named volume"


# --- The chart --------------------------------------------------------------------------------------------------------
def wrong_in_chart() -> Iterator[str]:
    """Yield what is wrong in the chart, with its own values and with everything on."""
    for title, values in (("by default", {}), ("with all on", yaml.safe_load(ALL_ON.read_text()))):
        for message in helm_python.lint(CHART, values, strict=True)["messages"]:
            if message["severity"] >= WARNING:
                yield f"the chart {title}: {message['path']}: {message['error']}"
        manifests = rendered(values)
        for problem in (*wrong_by_schema(manifests), *wrong_in_pods(manifests), *wrong_together(manifests)):
            yield f"the chart {title}: {problem}"
    yield from wrong_values_that_pass()


def rendered(values: Manifest) -> list[Manifest]:
    """Return the manifests of the chart, as Helm makes them. Raise HelmError for values that its schema refuses."""
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(values))
        texts = chart.render(values, name="shop", namespace="features")
    manifests = [
        part for name, text in sorted(texts.items()) if name.endswith(".yaml") for part in yaml.safe_load_all(text)
    ]
    return [manifest for manifest in manifests if manifest]


def name_of(manifest: Manifest) -> str:
    """Return the kind and name of a manifest."""
    return f"{manifest['kind']} {manifest['metadata']['name']}"


def wrong_by_schema(manifests: list[Manifest]) -> Iterator[str]:
    """Yield what the schemas of Kubernetes refuse; unknown fields are refused, too."""
    assert OLDEST is not None
    for manifest in manifests:
        if manifest["kind"] == "ScaledObject":
            if set(manifest["spec"]) != SCALED_OBJECT:
                yield f"{name_of(manifest)} has other fields: {set(manifest['spec']) ^ SCALED_OBJECT}"
            continue
        for version in (OLDEST[1], kubernetes_validate.latest_version()):
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                yield f"{name_of(manifest)}, Kubernetes {version}: {error.message}"


def pods_of(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name and the template of each manifest that makes pods."""
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            yield name_of(manifest), manifest["spec"]["template"]


def wrong_in_pods(manifests: list[Manifest]) -> Iterator[str]:
    """Yield where a pod has more rights than it needs, or lacks a secret or a probe."""
    programs: set[str] = set()
    for name, template in pods_of(manifests):
        pod = template["spec"]
        if pod["automountServiceAccountToken"] is not False or not pod["securityContext"]["runAsNonRoot"]:
            yield f"{name} has a token, or runs as root"
        for container in pod["containers"]:
            context = container["securityContext"]
            if not context["readOnlyRootFilesystem"] or context["capabilities"] != {"drop": ["ALL"]}:
                yield f"{name}, {container['name']}: it can write to its root file system, or has capabilities"
            entries = {entry["name"]: entry for entry in container["env"]}
            if any("secretKeyRef" not in entries[secret].get("valueFrom", {}) for secret in SECRETS):
                yield f"{name}, {container['name']}: a secret is not there by reference"
            programs |= {entries["FEATUREHUB_PROGRAM"]["value"]} if "FEATUREHUB_PROGRAM" in entries else set()
            if "limits" not in container["resources"] and "requests" not in container["resources"]:
                yield f"{name}, {container['name']}: it asks for no resources"
        if name.endswith("-web") and any("livenessProbe" not in container for container in pod["containers"]):
            yield f"{name}: a container has no probe"
    if programs != programs_of_procfile():
        yield f"the programs of the Procfile are not those that run: {programs}"


def wrong_together(manifests: list[Manifest]) -> Iterator[str]:
    """Yield selectors that find no pod, and scaled deployments that are not there or have a number of their own."""
    labels = [template["metadata"]["labels"] for _, template in pods_of(manifests)]
    for manifest in manifests:
        spec = manifest["spec"]
        selector = spec.get("podSelector") or spec.get("selector") or {}
        wanted = selector.get("matchLabels", selector)
        if wanted and not any(wanted.items() <= pod.items() for pod in labels):
            yield f"{name_of(manifest)} selects no pod"
    deployments = {manifest["metadata"]["name"]: manifest for manifest in manifests if manifest["kind"] == "Deployment"}
    for manifest in manifests:
        if manifest["kind"] == "ScaledObject":
            target = deployments.get(manifest["spec"]["scaleTargetRef"]["name"])
            if target is None or "replicas" in target["spec"]:
                yield f"{name_of(manifest)}: its deployment is not there, or has replicas of its own"
    hooks = [manifest["metadata"].get("annotations", {}).get("helm.sh/hook") for manifest in manifests]
    if hooks.count("pre-install,pre-upgrade") != 1:
        yield "there is not one hook for the migrations"


def wrong_values_that_pass() -> Iterator[str]:
    """Yield values that the chart takes although values.schema.json has to refuse them."""
    for values in ({"secret": "typed wrong"}, {"hosts": []}, {"workers": {"all": {"queues": "fast"}}}):
        try:
            rendered(values)
        except helm_python.HelmError:
            continue
        yield f"the chart takes {values}"


def main() -> None:
    """Print what is wrong."""
    wrong = [*wrong_in_dockerfile(), *wrong_in_compose(), *wrong_in_chart()]
    for problem in wrong:
        print(problem)
    if wrong:
        sys.exit(1)
    print("The image, compose.yaml and the chart fit each other.")


if __name__ == "__main__":
    main()
