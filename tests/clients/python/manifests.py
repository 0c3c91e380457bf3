"""Checks deploy/compose.yaml and deploy/kubernetes/ against schemas, files and the program itself.

manifests.py PROGRAM, in the root of the repository; says what is wrong, or "well".
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

program = sys.argv[1]
deploy = pathlib.Path("deploy")
failures = []


def fail(text):
    failures.append(text)


def check_config(place, environment=None, text=None):
    """What the program thinks of settings, with the names of servers as addresses."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(text or "")
        file.flush()
        command = [program, "config", "check", "--config", file.name]
        run = subprocess.run(command, env=environment or {}, capture_output=True, text=True)
    if run.returncode != 0:
        fail(f"{place}: {run.stderr.strip()}")


def kubernetes():
    kinds = {}
    for path in sorted(deploy.glob("kubernetes/*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            kinds.setdefault(document["kind"], []).append(document)
            try:
                kubernetes_validate.validate(document, "1.31", strict=True)
            except kubernetes_validate.ValidationError as error:
                fail(f"{path}: {document['kind']}: {error}")
    wanted = {"Deployment", "Service", "ConfigMap", "PodDisruptionBudget", "NetworkPolicy"}
    for kind in wanted - kinds.keys():
        fail(f"kubernetes: no {kind}")
    labels = kinds["Deployment"][0]["spec"]["template"]["metadata"]["labels"]
    for kind, path in [("Service", ["selector"]), ("PodDisruptionBudget", ["selector", "matchLabels"]),
                       ("NetworkPolicy", ["podSelector", "matchLabels"])]:
        selector = kinds[kind][0]["spec"]
        for step in path:
            selector = selector[step]
        if not selector.items() <= labels.items():
            fail(f"kubernetes: {kind} does not select the pods")
    pod = kinds["Deployment"][0]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"]:
        if probe not in container:
            fail(f"kubernetes: no {probe}")
    security = container["securityContext"]
    if not (security["readOnlyRootFilesystem"] and security["capabilities"]["drop"] == ["ALL"]
            and pod["securityContext"]["runAsNonRoot"]):
        fail("kubernetes: the container may too much")
    volumes = {volume["name"] for volume in pod["volumes"]}
    for mount in container["volumeMounts"]:
        if mount["name"] not in volumes:
            fail(f"kubernetes: no volume {mount['name']}")
    for config in kinds["ConfigMap"]:
        for name, text in config["data"].items():
            if name.endswith(".toml"):
                check_config(f"kubernetes: {name}", text=text)


def compose():
    document = yaml.safe_load((deploy / "compose.yaml").read_text())
    services = document["services"]
    for name in ["calspamd", "rspamd", "redis", "unbound", "prometheus", "grafana"]:
        if name not in services:
            fail(f"compose: no {name}")
    for name, service in services.items():
        tag = service["image"].partition(":")[2]
        if "build" not in service and (not tag or tag == "latest"):
            fail(f"compose: {name}: the image has no version")
        if "restart" not in service or "networks" not in service:
            fail(f"compose: {name}: no restart or no network")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                if not (deploy / source).exists():
                    fail(f"compose: {name}: no {source}")
            elif source not in document["volumes"]:
                fail(f"compose: {name}: no volume {source}")
        for network in service["networks"]:
            if network not in document["networks"]:
                fail(f"compose: {name}: no network {network}")
        for port in service.get("ports", []):
            if not str(port).startswith("127.0.0.1:"):
                fail(f"compose: {name}: {port} is open to the world")
        for other in service.get("depends_on", []):
            if other not in services:
                fail(f"compose: {name}: depends on {other}")
    if not document["networks"]["inside"]["internal"] or services["calspamd"]["networks"] != ["inside"]:
        fail("compose: calspamd can reach more than it needs")
    # As in the image.
    environment = {"CALSPAMD_HTTP__LISTEN": "0.0.0.0:11380", "CALSPAMD_HTTP__INSECURE": "true",
                   "CALSPAMD_RULES__DIRECTORIES": os.fspath(deploy.absolute() / "rules")}
    check_config("compose", environment | services["calspamd"]["environment"])
    resolver = services["calspamd"]["environment"]["CALSPAMD_DNS__SERVERS"]
    if services["unbound"]["networks"]["inside"]["ipv4_address"] != resolver:
        fail("compose: the resolver is elsewhere")
    # The same jobs as for others, but for the address.
    ours = (deploy / "prometheus/prometheus.yml").read_text()
    theirs = (deploy / "compose/prometheus.yml").read_text()
    if ours.replace("127.0.0.1:11380", "calspamd:11380") != theirs:
        fail("compose: prometheus.yml is not that of deploy/prometheus with another address")
    for path in deploy.glob("compose/**/*.yml"):
        yaml.safe_load(path.read_text())


kubernetes()
compose()
print("\n".join(failures) or "well")
sys.exit(bool(failures))
