"""Manifests that are there for people, in namespaces of a scenario's."""

import os
import re

import scenario

HOME = os.path.join(scenario.HOME, "manifests/samples")  # ours


def name_of(document):
    return re.search(r"^metadata:\n(?:  .*\n)*?  name: (\S+)", document, re.M)[1]


def placed(document, server):
    """DOCUMENT where the scenario may have it: what names no namespace in the scenario's own, what names one in one beside it."""
    if re.search(r"^kind: Namespace$", document, re.M):
        return document.replace(f"name: {name_of(document)}", f"name: {server.ns}-{name_of(document)}")
    document = document.replace("pvc://default:", f"pvc://{server.ns}:")
    if re.search(r"^  namespace: ", document, re.M):
        return re.sub(r"^  namespace: (\S+)", rf"  namespace: {server.ns}-\1", document, flags=re.M)
    return re.sub(r"^(kind: (?:InferenceService|PersistentVolumeClaim)\nmetadata:\n)", rf"\1  namespace: {server.ns}\n", document,
                  flags=re.M)


def claim(server, document):
    """What DOCUMENT makes elsewhere than in the scenario's own namespace is the scenario's to make and to remove."""
    kind = re.search(r"^kind: (\S+)", document, re.M)[1]
    version = re.search(r"^apiVersion: (\S+)", document, re.M)[1]
    namespace = re.search(r"^  namespace: (\S+)", document, re.M)
    if namespace and namespace[1] == server.ns:
        return
    if namespace or kind == "Namespace":
        server.create_namespace(namespace[1] if namespace else name_of(document))
    if kind == "Namespace":
        return
    metadata = {"name": name_of(document), **({"namespace": namespace[1]} if namespace else {})}
    scenario.claim(server, server.path_of({"apiVersion": version, "kind": kind, "metadata": metadata}))


def place(server, source, folder):
    """Copies the manifests below SOURCE into FOLDER, for the scenario's namespaces, and claims what they make."""
    os.makedirs(folder)
    for parent, _, names in os.walk(source):
        for name in sorted(names):
            with open(os.path.join(parent, name), encoding="utf-8") as text:
                documents = [placed(d, server) for d in re.split(r"^---.*\n", text.read(), flags=re.M) if re.search(r"^kind:", d, re.M)]
            for document in documents:
                claim(server, document)
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write("---\n".join(d if d.endswith("\n") else d + "\n" for d in documents))
    return folder
