#include "agent/handover.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define NODE "models.ome.io/node-name" /* as in the record */
#define MODEL "models.ome.io/model"
#define MODEL_UID "models.ome.io/model-uid"
#define SECRET_VERSION "models.ome.io/secret-version" /* "UID/resourceVersion" of what was sealed */

char *handover_name(const char *node, const char *model_key) {
  char hex[65];
  _cleanup_free_ char *text = str_printf("%s\n%s", node, model_key); /* neither has a line break */

  if (!text)
    return NULL;
  sha256_hex(text, strlen(text), hex);
  return str_printf("model-credential-%.40s", hex);
}

/* What the sealed text is bound to besides the key; lines, so that no two of them read alike. */
static char *context_of(const struct handover *h, const char *expires) {
  return str_printf("ome.io/credential/1\n%s\n%s\n%s\n%s\n", h->node, h->model_key, h->model_uid, expires);
}

static char *version_of(struct json_object *secret) {
  return secret ? str_printf("%s/%s", meta_uid(secret), json_str(secret, "metadata.resourceVersion", "")) : strdup("");
}

/* new: of SECRET what the agent needs. */
static struct json_object *essence_of(struct json_object *secret) {
  struct json_object *o = json_object_new_object();

  if (json_set_str(o, "metadata.name", meta_name(secret)) &&
      json_set(o, "data", json_object_get(json_get(secret, "data"))))
    return o;
  json_unref(o);
  return NULL;
}

static void wipe(char *text) {
  explicit_bzero(text, strlen(text));
  free(text);
}
DEFINE_CLEANUP(char *, wipe)

static int32_t seal(const struct handover *h, const char *key, struct json_object *secret, const char *expires,
                    char **out, struct ome_err *err) {
  _cleanup_json_ struct json_object *essence = essence_of(secret);
  _cleanup_(wipep) char *text = essence ? json_text(essence) : NULL;
  _cleanup_free_ char *context = context_of(h, expires);

  return text && context ? seal_text(key, context, text, strlen(text), out, err) : fail_memory(err);
}

/* The record's end is the end of what was handed to its node. */
static void set_owner(struct json_object *map, struct json_object *record) {
  struct json_object *owners = json_object_new_array();
  struct json_object *owner = json_object_new_object();

  (void)json_set_str(owner, "apiVersion", "v1");
  (void)json_set_str(owner, "kind", "ConfigMap");
  (void)json_set_str(owner, "name", meta_name(record));
  (void)json_set_str(owner, "uid", meta_uid(record));
  (void)json_add(owners, owner);
  (void)json_set(map, "metadata.ownerReferences", owners);
}

struct json_object *handover_write(const struct handover *h, struct json_object *record, struct json_object *secret,
                                   const char *why, int64_t now_ms, struct ome_err *err) {
  _cleanup_free_ char *name = handover_name(h->node, h->model_key);
  _cleanup_free_ char *expires = str_printf("%lld", (long long)(now_ms + HANDOVER_LIFE_MS));
  _cleanup_free_ char *version = version_of(secret);
  _cleanup_free_ char *sealed = NULL;
  const char *key = meta_annotation(record, HANDOVER_KEY);
  struct json_object *map = name && expires && version ? json_object_new_object() : NULL;

  if (!map) {
    (void)fail_memory(err);
    return NULL;
  }
  (void)json_set_str(map, "apiVersion", "v1");
  (void)json_set_str(map, "kind", "ConfigMap");
  (void)json_set_str(map, "metadata.name", name);
  (void)json_set_str(map, "metadata.namespace", h->ns);
  meta_set_label(map, HANDOVER_LABEL, "true");
  meta_set_annotation(map, NODE, h->node);
  meta_set_annotation(map, MODEL, h->model_key);
  meta_set_annotation(map, MODEL_UID, h->model_uid);
  meta_set_annotation(map, HANDOVER_KEY, key ? key : "");
  meta_set_annotation(map, SECRET_VERSION, version);
  set_owner(map, record);
  (void)json_set_str(map, "data.expires", expires);
  if (secret && seal(h, key ? key : "", secret, expires, &sealed, err) != OME_OK) {
    json_unref(map);
    return NULL;
  }
  (void)json_set_str(map, secret ? "data.sealed" : "data.error", secret ? sealed : why);
  return map;
}

static bool says(struct json_object *map, const char *annotation, const char *value) {
  const char *said = meta_annotation(map, annotation);

  return said && value && streq(said, value);
}

bool handover_is_current(struct json_object *map, struct json_object *record, const struct handover *h,
                         int64_t now_ms) {
  int64_t expires = 0;

  return says(map, HANDOVER_KEY, meta_annotation(record, HANDOVER_KEY)) && says(map, MODEL_UID, h->model_uid) &&
         str_to_i64(json_str(map, "data.expires", ""), &expires) && expires - now_ms > HANDOVER_LIFE_MS / 2 &&
         expires - now_ms <= HANDOVER_LIFE_MS;
}

bool handover_is_of(struct json_object *map, struct json_object *secret, const char *why) {
  _cleanup_free_ char *version = version_of(secret);

  return says(map, SECRET_VERSION, version) && (secret || streq(json_str(map, "data.error", ""), why));
}

const char *handover_model(struct json_object *map) {
  return meta_annotation(map, MODEL);
}

const char *handover_node(struct json_object *map) {
  const char *node = meta_annotation(map, NODE);

  return node ? node : "";
}

static int32_t read_secret(const char *text, size_t len, struct json_object **out, struct ome_err *err) {
  int32_t rc = json_parse(text, len, 0, out, err);

  return rc == OME_OK ? OME_OK : fail(err, OME_E_CORRUPT, "what was sealed is no Secret");
}

int32_t handover_open(const struct handover *h, struct json_object *map, const struct seal_key *key, int64_t now_ms,
                      struct json_object **out, struct ome_err *err) {
  const char *expires = json_str(map, "data.expires", "");
  const char *sealed = json_str(map, "data.sealed", NULL);
  const char *why = json_str(map, "data.error", NULL);
  int64_t until_ms = 0;
  char *text = NULL;
  size_t len = 0;

  if (!says(map, HANDOVER_KEY, seal_key_public(key)))
    return fail(err, OME_E_CORRUPT, "it is for the agent that was here before");
  if (!str_to_i64(expires, &until_ms) || until_ms <= now_ms)
    return fail(err, OME_E_CORRUPT, "its time is over");
  if (!sealed)
    return fail(err, OME_E_NOT_FOUND, "%s", why ? why : "the controller hands nothing over");
  _cleanup_free_ char *context = context_of(h, expires);
  int32_t rc = context ? seal_open(key, context, sealed, &text, &len, err) : fail_memory(err);
  if (rc == OME_OK)
    rc = read_secret(text, len, out, err);
  if (text)
    explicit_bzero(text, len);
  free(text);
  return rc;
}
