/* YAML (libyaml) to and from JSON documents.
 *
 * Read: the JSON-compatible part of YAML 1.1 as Kubernetes tools read it (core scalars; y/n/on/off stay strings),
 * several documents a stream, anchors and aliases with a bound on the nodes they expand to, duplicate keys refused.
 * Text is bounded by JSON_MAX_BYTES, nesting by JSON_MAX_DEPTH. */
#ifndef HOST_BASE_YAML_H
#define HOST_BASE_YAML_H

#include "base/buf.h"
#include "base/json.h"

/* Calls EACH for every non-empty document; takes the reference handed to it.  Its non-OK return ends the walk and is
 * returned.  NAME is the file's, for messages "NAME:LINE: ...".  JSON input is YAML too. */
typedef int32_t (*yaml_doc_fn)(void *arg, struct json_object *doc, size_t line, struct ome_err *err);
int32_t yaml_parse(const char *name, const char *text, size_t len, yaml_doc_fn each, void *arg, struct ome_err *err);

/* Exactly one document. */
int32_t yaml_parse_one(const char *name, const char *text, size_t len, struct json_object **out, struct ome_err *err);

/* Appends O as block-style YAML; strings that would read back as something else are quoted. */
void yaml_write(struct buf *out, struct json_object *o);

#endif
