#!/usr/bin/env python3
"""Writes the catalogues' manifests from their tables: models/catalogue.tsv and accelerators/catalogue.tsv.

usage: generate.py [--check]     --check: write nothing, fail when a manifest is not what its table says
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def rows(table):
    """Dictionaries by the columns of the first line; "-" is None."""
    lines = [line.rstrip("\n").split("\t") for line in open(os.path.join(HERE, table), encoding="utf-8")]
    head = [name.lstrip("# ") for name in lines[0]]
    for line in lines[1:]:
        if len(line) != len(head):
            sys.exit(f"{table}: {line[0]}: {len(line)} columns, {len(head)} are needed")
        yield {key: None if value == "-" else value for key, value in zip(head, line)}


def object_name(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def quoted_list(indent, values):
    return "".join(f"{' ' * indent}- {value}\n" for value in values)


def model(row):
    organisation, name = row["id on the hub"].split("/")
    diffusers = row["model type"] == "diffusers"
    out = f"""apiVersion: ome.io/v1beta1
kind: ClusterBaseModel
metadata:
  name: {object_name(name)}
  labels:
    models.ome.io/family: {row["family"]}
spec:
  vendor: {organisation.lower()}
  displayName: {organisation.lower()}.{name.lower()}
  version: "1.0.0"
  modelType: {row["model type"]}
  modelArchitecture: {row["architecture"]}
  modelParameterSize: {row["parameters"]}
  modelFormat:
    name: {"diffusers" if diffusers else "safetensors"}
  modelFramework:
    name: {"diffusers" if diffusers else "transformers"}
"""
    if row["context"]:
        out += f"  maxTokens: {row['context']}\n"
    if row["quantization"]:
        out += f"  quantization: {row['quantization']}\n"
    if row["active"]:
        out += f"  additionalMetadata:\n    activeParameterSize: {row['active']}\n"
    out += "  modelCapabilities:\n" + quoted_list(4, row["capabilities"].split(","))
    out += f"  storage:\n    storageUri: hf://{row['id on the hub']}\n"
    if row["access"] == "gated":
        out += "    key: hf-token\n"
    return f"models/{row['family']}/{object_name(name)}.yaml", out


PERFORMANCE = (("fp32 TFLOPS", "fp32Tflops"), ("fp16 TFLOPS", "fp16Tflops"), ("int8 TOPS", "int8Tops"),
               ("int4 TOPS", "int4Tops"))


def accelerator(row):
    label, value = row["node labels"].split("=")
    out = f"""apiVersion: ome.io/v1beta1
kind: AcceleratorClass
metadata:
  name: {row["name"]}
spec:
  vendor: {row["vendor"]}
  family: {row["family"]}
  model: {row["model"]}
  discovery:
    nodeSelector:
      {label}: "{value}"
"""
    if row["PCI vendor:devices"]:
        vendor, devices = row["PCI vendor:devices"].split(":")
        out += f'    pciVendorID: "{vendor}"\n    deviceIDs:\n' + quoted_list(6, [f'"{d}"' for d in devices.split(",")])
    out += "  capabilities:" + ("\n" if row["memory GiB"] else " {}\n")
    if row["memory GiB"]:
        out += f"    memoryGB: {row['memory GiB']}Gi\n    memoryBandwidthGBps: \"{row['bandwidth GB/s']}\"\n"
    if row["compute capability"]:
        out += f"    computeCapability: \"{row['compute capability']}\"\n"
    if row["features"]:
        out += "    features:\n" + quoted_list(6, row["features"].split(","))
    known = [(key, row[column]) for column, key in PERFORMANCE if row[column]]
    if known:
        out += "    performance:\n" + "".join(f"      {key}: {number}\n" for key, number in known)
    out += f"  resources:\n    - name: {row['resource']}\n      quantity: \"1\"\n"
    return f"accelerators/{row['name']}.yaml", out


def wanted():
    files = {}
    for make, table in ((model, "models/catalogue.tsv"), (accelerator, "accelerators/catalogue.tsv")):
        for row in rows(table):
            path, text = make(row)
            if path in files:
                sys.exit(f"{table}: two rows make {path}")
            files[path] = text
    return files


def present():
    found = set()
    for folder in ("models", "accelerators"):
        for where, _, names in os.walk(os.path.join(HERE, folder)):
            found |= {os.path.relpath(os.path.join(where, n), HERE) for n in names if n.endswith(".yaml")}
    return found


def main():
    files = wanted()
    stale = sorted(present() - set(files))
    for path, text in files.items():
        full = os.path.join(HERE, path)
        if not os.path.exists(full) or open(full, encoding="utf-8").read() != text:
            stale.append(path)
            if "--check" not in sys.argv:
                os.makedirs(os.path.dirname(full), exist_ok=True)
                open(full, "w", encoding="utf-8").write(text)
    if "--check" in sys.argv and stale:
        sys.exit("not what the tables say: " + ", ".join(stale[:10]) + "; run manifests/generate.py")
    for path in stale:
        if path not in files:
            os.remove(os.path.join(HERE, path))
    print(f"{len(files)} manifests, {len(stale)} {'stale' if '--check' in sys.argv else 'written or removed'}")


if __name__ == "__main__":
    main()
