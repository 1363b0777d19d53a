#!/usr/bin/env python3
"""docs/plugins/: a page for every plugin with its settings, the APIs that it needs, and the objects that it makes for each
sample, and docs/plugins.md, which leads to them.

They are made of what plugins say of themselves (`ome plugin list`) and of what they render (`ome render -o table`).

usage: plugins_doc_test.py [--write]     --write brings the pages up to date
"""

import collections
import functools
import json
import os
import subprocess
import sys

import scenario
from scenario import OME

DOCS = os.path.join(scenario.HOME, "docs")
INDEX = "plugins.md"
SAMPLES = os.path.join(scenario.HOME, "manifests", "samples")

PREAMBLE = """# Plugins

Every plugin that is built here has a page: what it is for, its configuration keys in `plugins.conf`, the APIs that a cluster must have
for it, and the objects that it makes for the services of `manifests/samples/` where the site's configuration names a domain and
gateways. `ome plugin info NAME` and `ome render -f PATH -o table` say the same of plugins and services of your own. A key without a
default has none unless its meaning names one. What plugins of a kind have in common is on the kind's page.

These pages are made by `tests/scenario/plugins_doc_test.py --write`.
"""

# By kind, in the index's order: heading, and where its common part is described.
KINDS = {
    "ome.deployment/1": ("Deployment", "How a component's pods are laid out: [deployment](deployment.md)."),
    "ome.autoscaler/1": ("Autoscaler", "Who owns a component's replica count: [autoscaling](autoscaling.md)."),
    "ome.ingress/1": ("Ingress", "How a service is reached, with keys in ConfigMap `inferenceservice-config`: [ingress](ingress.md)."),
    "ome.scorer/1": ("Scorer", "What speaks for a runtime, and what is computed for its engine: [selection](selection.md), [tuning](tuning.md)."),
    "ome.storage/1": ("Storage", "Where models come from: [storage](storage.md)."),
}
RENDER_KINDS = list(KINDS)[:3]

# Annotation of a service that asks for a plugin; others are what samples get as they are.
ASKED_WITH = {
    "ome.autoscaler/1:keda": {"ome.io/autoscalerClass": "keda"},
    "ome.ingress/1:gateway": {"ome.io/ingress-provider": "gateway"},
    "ome.ingress/1:istio": {"ome.io/ingress-provider": "istio"},
    "ome.ingress/1:kubernetes": {"ome.io/ingress-provider": "kubernetes"},
    "ome.ingress/1:service": {"ome.io/ingress-disable-creation": "true"},
}

# The site's: enough for every ingress plugin.
CONFIGURATION = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "inferenceservice-config"},
                 "data": {"ingress": json.dumps({
                     "disableIngressCreation": False, "ingressDomain": "example.com",
                     "ingressGateway": "infra/public", "omeIngressGateway": "infra/public"})}}


def ome(*arguments, given=None, code=0):
    done = subprocess.run([OME, *arguments], input=given, capture_output=True, text=True, timeout=scenario.DEADLINE,
                          check=False)
    assert done.returncode == code, (arguments, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


def samples():
    return sorted(name for name in os.listdir(SAMPLES) if name.endswith(".yaml"))


def annotated(name, annotations):
    """The text of a sample whose service has ANNOTATIONS besides its own."""
    with open(os.path.join(SAMPLES, name), encoding="utf-8") as file:
        models, kind, service = file.read().partition("kind: InferenceService\nmetadata:\n")
    assert kind, f"{name}: no InferenceService where one is expected"
    own = "  annotations: { "
    more = "".join(f"{key}: {json.dumps(value)}, " for key, value in annotations.items())
    if not annotations:
        return models + kind + service
    if own in service:
        return models + kind + service.replace(own, own + more, 1)
    return f"{models}{kind}{own}{more}}}\n{service}"


Row = collections.namedtuple("Row", "service part plugin api kind name")


@functools.cache
def rendered(annotations):
    """What `ome render -o table` says of all samples; the same objects in the same order as -o json has."""
    text = "\n---\n".join([json.dumps(CONFIGURATION), *(annotated(name, dict(annotations)) for name in samples())])
    rows = [Row(*line.split()) for line in ome("render", "-f", "-", "-o", "table", given=text).splitlines()[1:]]
    items = json.loads(ome("render", "-f", "-", "-o", "json", given=text))["items"]
    want = [(o["apiVersion"], o["kind"], o["metadata"]["name"]) for o in items]
    assert [(r.api, r.kind, r.name) for r in rows] == want, (annotations, rows, want)
    return rows


def counted(kinds):
    """"`v1` Service, `apps/v1` Deployment (2)"."""
    return ", ".join(f"`{api}` {kind}" + (f" ({n})" if n > 1 else "")
                     for (api, kind), n in collections.Counter(kinds).items())


def objects(plugin):
    """The table of what PLUGIN makes, one row for all parts and samples that get the same."""
    made = collections.defaultdict(list)
    for row in rendered(tuple(ASKED_WITH.get(plugin, {}).items())):
        if row.plugin == plugin:
            made[row.service.removeprefix("default/"), row.part].append((row.api, row.kind))
    rows = collections.defaultdict(list)
    for (service, part), kinds in made.items():
        assert f"{service}.yaml" in samples(), f"{service}: a sample's service has the name of its file"
        rows[service, counted(kinds)].append(part)
    same = collections.defaultdict(list)
    for (service, what), parts in rows.items():
        same[", ".join(parts), what].append(f"`{service}.yaml`")
    lines = [f"| {', '.join(services)} | {parts} | {what} |" for (parts, what), services in same.items()]
    return ["| sample | for its | objects |", "|---|---|---|", *lines] if lines else ["It makes no objects."]


def configuration(keys):
    if not keys:
        return ["No configuration keys."]
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in keys:
        default = "required" if key["required"] else f"`{key['default']}`" if key.get("default") else "–"
        assert key["doc"], key
        lines.append(f"| `{key['name']}` | {key['type']} | {default} | {key['doc'].replace('|', chr(92) + '|')} |")
    return lines


def needs(factory):
    apis = [f"`{need['group']}/{need['version']}` {need['kind']}" for need in factory.get("needs", [])]
    return f"Needs {', '.join(apis)}." if apis else "Needs no API that a cluster could lack."


def section(factories):
    """Of factories of a kind that are set up alike; those that render stand alone."""
    kind, names = factories[0]["kind"], [factory["name"] for factory in factories]
    lines = [f"## {', '.join(names)}", "", f"`{kind}`.", "", *configuration(factories[0]["keys"]), ""]
    if kind not in RENDER_KINDS:
        return lines
    lines += [needs(factories[0]), ""]
    asked = ASKED_WITH.get(f"{kind}:{names[0]}", {})
    if asked:
        lines += ["With annotation " + ", ".join(f"`{key}: {json.dumps(value)}`" for key, value in asked.items()) + ":", ""]
    return [*lines, *objects(f"{kind}:{names[0]}"), ""]


def alike(factories):
    """FACTORIES of one plugin by kind and configuration."""
    groups = collections.defaultdict(list)
    for factory in factories:
        alone = factory["name"] if factory["kind"] in RENDER_KINDS else ""
        groups[factory["kind"], alone, json.dumps(factory["keys"])].append(factory)
    return groups.values()


def joined(lines):
    return "\n".join(lines).rstrip("\n") + "\n"


def page(plugin):
    about = dict.fromkeys(KINDS[factory["kind"]][1] for factory in plugin["factories"])
    lines = [f"# {plugin['name']}", "", f"{plugin['summary']}. In `{os.path.basename(plugin['file'])}`.", "",
             *[text.replace("](", "](../") for text in about], ""]
    return joined(lines + [line for factories in alike(plugin["factories"]) for line in section(factories)])


def index(plugins):
    lines = [PREAMBLE]
    for kind, (heading, about) in KINDS.items():
        lines += [f"## {heading}", "", f"`{kind}`. {about}", "", "| plugin | provides | what it is for |", "|---|---|---|"]
        for plugin in plugins:
            names = [f"`{factory['name']}`" for factory in plugin["factories"] if factory["kind"] == kind]
            if names:
                lines.append(f"| [{plugin['name']}](plugins/{plugin['name']}.md) | {', '.join(names)} | {plugin['summary']} |")
        lines.append("")
    return joined(lines)


def pages():
    """Their texts by their paths in docs/."""
    plugins = json.loads(ome("plugin", "list", "-o", "json"))
    refused = [p for p in plugins if p["state"] != "loaded"]
    assert plugins and not refused, refused
    kinds = {factory["kind"] for plugin in plugins for factory in plugin["factories"]}
    assert kinds == set(KINDS), f"{sorted(kinds)}: a kind is new or gone; see KINDS"
    return {INDEX: index(plugins), **{f"plugins/{plugin['name']}.md": page(plugin) for plugin in plugins}}


def written():
    """The pages as they are now, by their paths in docs/."""
    folder = os.path.join(DOCS, "plugins")
    paths = [INDEX, *(f"plugins/{name}" for name in (os.listdir(folder) if os.path.isdir(folder) else ()))]
    texts = {}
    for path in paths:
        with open(os.path.join(DOCS, path), encoding="utf-8") as file:
            texts[path] = file.read()
    return texts


def write(now):
    os.makedirs(os.path.join(DOCS, "plugins"), exist_ok=True)
    for path in set(written()) - set(now):
        os.remove(os.path.join(DOCS, path))
    for path, text in now.items():
        with open(os.path.join(DOCS, path), "w", encoding="utf-8") as file:
            file.write(text)


def main():
    now = pages()
    if sys.argv[1:] == ["--write"]:
        write(now)
        return
    assert sys.argv[1:] == [], __doc__
    before = written()
    other = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
    assert not other, f"docs/: {other}: not what plugins say and make now; {sys.argv[0]} --write mends it"
    print("plugins are documented: ok")
    assert "--diff has an output of its own" in ome("render", "-f", SAMPLES, "-o", "table", "--diff", code=2)
    assert "needs ray.io/v1 RayCluster\n" in ome("plugin", "info", "ray")
    print("what is said to people: ok")


if __name__ == "__main__":
    main()
