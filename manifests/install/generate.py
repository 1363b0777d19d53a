#!/usr/bin/env python3
"""Makes what is derived from base/: ome.yaml, the one file to apply, and the chart's templates. The scenario `install` fails when
they were not made anew.

usage: generate.py [FOLDER]    (where to; without it, beside this file)
"""

import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
# The Namespace is Helm's (--create-namespace), the CRDs are in the chart's crds/.
TEMPLATES = ("configuration.yaml", "controller-rbac.yaml", "controller.yaml", "agent.yaml")
# What the chart lets people choose: the base's text, and the expression in its place.  Each has to be there.
CHOICES = {
    "configuration.yaml": [(r'"image": "ome:0\.1\.0"', '"image": "{{ .Values.image }}"')],
    "controller.yaml": [
        (r"replicas: 2", "replicas: {{ .Values.controller.replicas }}"),
        (r"value: json", "value: {{ .Values.controller.logFormat }}"),
        (r"( +)resources:\n(?:\1 +.*\n)+", r"\1resources: {{- toYaml .Values.controller.resources | nindent 12 }}\n"),
        (r"image: ome:0\.1\.0", "image: {{ .Values.image }}"),
    ],
    "agent.yaml": [
        (r"/raid/models", "{{ .Values.agent.modelsDir }}"),
        (r"( +)resources:\n(?:\1 +.*\n)+(?= +#)", r"\1resources: {{- toYaml .Values.agent.resources | nindent 12 }}\n"),
        (r"( +)affinity:\n(?:\1 +.*\n)+", r"\1affinity: {{- toYaml .Values.agent.affinity | nindent 8 }}\n"),
        (r"( +)tolerations:\n(?:\1 +.*\n)+", r"\1tolerations: {{- toYaml .Values.agent.tolerations | nindent 8 }}\n"),
        (r"image: ome:0\.1\.0", "image: {{ .Values.image }}"),
    ],
}


def template(name):
    with open(os.path.join(HERE, "base", name)) as source:
        text = source.read()
    for pattern, instead in CHOICES.get(name, []):
        text, times = re.subn(pattern, instead, text)
        assert times, f"{name} has no {pattern} any more"
    text = re.sub(r"namespace: ome\b", "namespace: {{ .Release.Namespace }}", text)
    return f"# Made by generate.py from base/{name}.\n" + text


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else HERE
    os.makedirs(out + "/chart/templates", exist_ok=True)
    for name in TEMPLATES:
        with open(f"{out}/chart/templates/{name}", "w") as target:
            target.write(template(name))
    base = subprocess.run(["kubectl", "kustomize", HERE + "/base"], capture_output=True, text=True, check=True).stdout
    with open(out + "/ome.yaml", "w") as target:
        target.write("# Made by generate.py from base/: kubectl apply --server-side -f ome.yaml\n" + base)


if __name__ == "__main__":
    main()
