/* Manifests and indexes (OCI image specification v1.1) of artifacts whose layers are the files of a model: artifacts
 * with org.opencontainers.image.title, and the CNCF ModelPack format with org.cncf.model.filepath. */
#ifndef PLUGINS_STORAGE_ORAS_MANIFEST_H
#define PLUGINS_STORAGE_ORAS_MANIFEST_H

#include "oras_uri.h"

#include <ome/abi.h>

#define ORAS_MAX_MANIFEST ((uint64_t)4 << 20) /* what registries have to take, distribution specification v1.1 */
#define ORAS_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define ORAS_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define ORAS_ACCEPT                                                                                                    \
  ORAS_TYPE_MANIFEST ", " ORAS_TYPE_INDEX ", application/vnd.docker.distribution.manifest.v2+json, "                   \
                     "application/vnd.docker.distribution.manifest.list.v2+json"
#define ORAS_EMPTY "{}" /* the empty config's blob */

struct json_object;

/* One file. */
struct oras_layer {
  const char *path;
  const char *sha256; /* hex */
  uint64_t size;
};

/* TEXT as a manifest or index, the caller's to json_object_put(); WHAT names it in errors. */
int32_t oras_manifest_read(const char *text, size_t len, const char *what, struct json_object **out,
                           struct ome_err *err);
int oras_is_index(struct json_object *o);

/* The digest of the one manifest of an index that suits: its only one, or the only one for this machine. */
int32_t oras_index_choose(struct json_object *index, const char *what, char out[ORAS_DIGEST_TEXT], struct ome_err *err);

/* Calls FN for each layer that is a file; non-zero ends it and is returned.  A layer that is an archive is
 * OME_E_UNSUPPORTED: its files have no digests of their own. */
int32_t oras_manifest_files(struct json_object *manifest, const char *what,
                            int32_t (*fn)(void *arg, const struct oras_layer *l), void *arg, struct ome_err *err);

/* A manifest without layers, with the empty config; NULL: out of memory. */
struct json_object *oras_manifest_new(void);

/* Puts the file in, in the order of paths, instead of one of the same path.  -1: out of memory, or MANIFEST is none
 * that files can be put into. */
int oras_manifest_put(struct json_object *manifest, const struct oras_layer *l);

#endif
