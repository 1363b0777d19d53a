#include "oras_manifest.h"

#include <ome-sdk/error.h>

#include "../common/json.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define MAX_LAYERS 100000u
#define TITLE "org.opencontainers.image.title"
#define FILEPATH "org.cncf.model.filepath"

int32_t oras_manifest_read(const char *text, size_t len, const char *what, struct json_object **out,
                           struct ome_err *err) {
  struct json_object *o = json_read(text, len);

  if (o && (json_array_at(o, "layers") || json_array_at(o, "manifests"))) {
    *out = o;
    return OME_OK;
  }
  (void)json_object_put(o);
  return ome_fail(err, OME_E_UNAVAILABLE, "oras: %s: the registry's answer is no manifest; check that it is a registry",
                  what);
}

int oras_is_index(struct json_object *o) {
  return json_array_at(o, "manifests") != NULL;
}

/* ---- indexes ----------------------------------------------------------------------------------------------------- */

/* Go's name of this machine's architecture, as platforms have it. */
static const char *architecture(void) {
  static const struct { const char *machine, *name; } known[] = {{"x86_64", "amd64"}, {"aarch64", "arm64"}};
  static struct utsname u;

  if (uname(&u) != 0)
    return "";
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
    if (strcmp(known[i].machine, u.machine) == 0)
      return known[i].name;
  return u.machine;
}

static int is_for_this_machine(struct json_object *entry, const char *arch) {
  struct json_object *platform = NULL;

  return json_object_object_get_ex(entry, "platform", &platform) &&
         strcmp(json_text_at(platform, "os"), "linux") == 0 &&
         strcmp(json_text_at(platform, "architecture"), arch) == 0;
}

/* Signatures and statements about the others are no models. */
static int is_model(struct json_object *entry) {
  struct json_object *platform = NULL;

  if (!oras_is_digest(json_text_at(entry, "digest")))
    return 0;
  return !json_object_object_get_ex(entry, "platform", &platform) ||
         strcmp(json_text_at(platform, "os"), "unknown") != 0;
}

int32_t oras_index_choose(struct json_object *index, const char *what, char out[ORAS_DIGEST_TEXT],
                          struct ome_err *err) {
  struct json_object *all = json_array_at(index, "manifests");
  struct json_object *only = NULL, *mine = NULL;
  unsigned nmodels = 0, nmine = 0;
  const char *arch = architecture();

  for (size_t i = 0; all && i < json_object_array_length(all); i++) {
    struct json_object *entry = json_object_array_get_idx(all, i);
    if (!is_model(entry))
      continue;
    only = entry;
    nmodels++;
    if (is_for_this_machine(entry, arch)) {
      mine = entry;
      nmine++;
    }
  }
  if (nmodels != 1 && nmine != 1)
    return ome_fail(err, OME_E_INVALID, "oras: %s: is an index of %u manifests; name one of them with @sha256:...",
                    what, nmodels);
  (void)snprintf(out, ORAS_DIGEST_TEXT, "%s", json_text_at(nmodels == 1 ? only : mine, "digest"));
  return OME_OK;
}

/* ---- layers ------------------------------------------------------------------------------------------------------ */

static const char *path_of(struct json_object *layer) {
  struct json_object *annotations = NULL;

  if (!json_object_object_get_ex(layer, "annotations", &annotations))
    return "";
  const char *path = json_text_at(annotations, FILEPATH);
  return *path ? path : json_text_at(annotations, TITLE);
}

/* tar, tar+gzip, tar.gz, and folders that oras packed. */
static int is_archive(struct json_object *layer) {
  static const char *const endings[] = {".tar", ".tar+gzip", ".tar.gzip", ".tar.gz", ".tar+zstd", ".tar.zstd"};
  struct json_object *annotations = NULL;
  const char *type = json_text_at(layer, "mediaType");

  if (json_object_object_get_ex(layer, "annotations", &annotations) &&
      strcmp(json_text_at(annotations, "io.deis.oras.content.unpack"), "true") == 0)
    return 1;
  for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
    size_t n = strlen(endings[i]), have = strlen(type);
    if (have > n && strcmp(type + have - n, endings[i]) == 0)
      /* A layer's plain type with a title is a file to oras: old clients call every file that. */
      return strcmp(type, "application/vnd.oci.image.layer.v1.tar") != 0 || !*path_of(layer);
  }
  return 0;
}

static int32_t one_layer(struct json_object *entry, const char *what, struct oras_layer *l, struct ome_err *err) {
  struct json_object *size = NULL;
  const char *digest = json_text_at(entry, "digest");

  l->path = path_of(entry);
  if (is_archive(entry))
    return ome_fail(err, OME_E_UNSUPPORTED,
                    "oras: %s: layer %.80s is an archive (%.80s); only files as they are can be verified one by one, "
                    "build the artifact with raw layers",
                    what, *l->path ? l->path : digest, json_text_at(entry, "mediaType"));
  if (!*l->path) /* belongs to no file: an annotation, an empty layer */
    return OME_OK;
  if (!oras_is_digest(digest))
    return ome_fail(err, OME_E_UNSUPPORTED, "oras: %s: %.120s has the digest %.80s; only sha256 is known", what,
                    l->path, digest);
  if (!json_object_object_get_ex(entry, "size", &size) || !json_object_is_type(size, json_type_int) ||
      json_object_get_int64(size) < 0)
    return ome_fail(err, OME_E_INVALID, "oras: %s: %.120s has no size", what, l->path);
  l->sha256 = digest + 7;
  l->size = (uint64_t)json_object_get_int64(size);
  return OME_OK;
}

int32_t oras_manifest_files(struct json_object *manifest, const char *what,
                            int32_t (*fn)(void *arg, const struct oras_layer *l), void *arg, struct ome_err *err) {
  struct json_object *layers = json_array_at(manifest, "layers");
  size_t n = layers ? json_object_array_length(layers) : 0, nfiles = 0;
  int32_t rc = OME_OK;

  if (n > MAX_LAYERS)
    return ome_fail(err, OME_E_INVALID, "oras: %s: has more than %u layers", what, MAX_LAYERS);
  for (size_t i = 0; rc == OME_OK && i < n; i++) {
    struct oras_layer l = {0};
    rc = one_layer(json_object_array_get_idx(layers, i), what, &l, err);
    if (rc == OME_OK && *l.path && (rc = fn(arg, &l)) != OME_OK)
      return ome_fail(err, rc, "oras: %s: the host did not take %.200s", what, l.path);
    nfiles += *l.path != '\0';
  }
  if (rc == OME_OK && n > 0 && nfiles == 0)
    return ome_fail(
        err, OME_E_UNSUPPORTED,
        "oras: %s: no layer says which file it is (" TITLE " or " FILEPATH "); a container image is no model", what);
  return rc;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct json_object *oras_manifest_new(void) {
  static const char text[] =
      "{\"schemaVersion\":2,\"mediaType\":\"" ORAS_TYPE_MANIFEST "\","
      "\"artifactType\":\"application/vnd.ome.model.v1\","
      "\"config\":{\"mediaType\":\"application/vnd.oci.empty.v1+json\","
      "\"digest\":\"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",\"size\":2,"
      "\"data\":\"e30=\"},\"layers\":[]}";

  return json_tokener_parse(text);
}

static struct json_object *layer_new(const struct oras_layer *l) {
  struct json_object *o = json_object_new_object(), *annotations = json_object_new_object();
  char digest[ORAS_DIGEST_TEXT];

  (void)snprintf(digest, sizeof(digest), "sha256:%s", l->sha256);
  if (!o || !annotations) {
    (void)json_object_put(o);
    (void)json_object_put(annotations);
    return NULL;
  }
  (void)json_object_object_add(o, "mediaType", json_object_new_string("application/octet-stream"));
  (void)json_object_object_add(o, "digest", json_object_new_string(digest));
  (void)json_object_object_add(o, "size", json_object_new_int64((int64_t)l->size));
  (void)json_object_object_add(annotations, TITLE, json_object_new_string(l->path));
  (void)json_object_object_add(o, "annotations", annotations);
  return o;
}

int oras_manifest_put(struct json_object *manifest, const struct oras_layer *l) {
  struct json_object *old = json_array_at(manifest, "layers"), *layers = json_object_new_array();
  struct json_object *mine = layer_new(l);
  size_t n = old ? json_object_array_length(old) : 0;
  int is_in = 0;

  if (!old || !layers || !mine || n >= MAX_LAYERS) {
    (void)json_object_put(layers);
    (void)json_object_put(mine);
    return -1;
  }
  for (size_t i = 0; i < n; i++) {
    struct json_object *entry = json_object_array_get_idx(old, i);
    int order = strcmp(l->path, path_of(entry));
    if (order <= 0 && !is_in) {
      (void)json_object_array_add(layers, json_object_get(mine));
      is_in = 1;
    }
    if (order != 0)
      (void)json_object_array_add(layers, json_object_get(entry));
  }
  if (!is_in)
    (void)json_object_array_add(layers, json_object_get(mine));
  (void)json_object_put(mine);
  (void)json_object_object_add(manifest, "layers", layers);
  return 0;
}
