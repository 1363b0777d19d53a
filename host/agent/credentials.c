#include "agent/credentials.h"

#include "base/str.h"

#include <string.h>

void credentials_fini(struct credentials *c) {
  for (size_t i = 0; i < c->list.len; i++) {
    char *value = (char *)(uintptr_t)c->list.items[i].value;
    explicit_bzero(value, strlen(value));
    free(value);
    free((char *)(uintptr_t)c->list.items[i].key);
  }
  VEC_FREE(&c->list);
}

bool credentials_add(struct credentials *c, const char *key, const char *value) {
  struct ome_kv kv = {strdup(key), strdup(value)};

  if (kv.key && kv.value && VEC_PUSH(&c->list, kv))
    return true;
  free((char *)(uintptr_t)kv.key);
  free((char *)(uintptr_t)kv.value);
  return false;
}

/* One value of a Secret as KEY; what is no text is left out. */
static int32_t add_encoded(struct credentials *c, const char *key, struct json_object *encoded, struct ome_err *err) {
  size_t len = 0;
  char *value = json_is(encoded, json_type_string) ? base64_decode(json_object_get_string(encoded), &len) : NULL;
  bool is_text = value && strlen(value) == len;
  bool ok = !is_text || credentials_add(c, key, value);

  if (value)
    explicit_bzero(value, len);
  free(value);
  return ok ? OME_OK : fail_memory(err);
}

int32_t credentials_of_secret(struct credentials *c, struct json_object *model, struct json_object *secret,
                              struct ome_err *err) {
  const char *named = json_str(model, "spec.storage.parameters.secretKey", NULL);
  const char *name = json_str(secret, "metadata.name", "");
  struct json_object *data = json_at(secret, "data");
  struct json_object *token = json_get(data, named ? named : "token");

  if (named && !token)
    return fail(err, OME_E_NOT_FOUND, "spec.storage.key: Secret %s has no key \"%s\"", name, named);
  if (!json_is(data, json_type_object) || json_object_object_length(data) == 0)
    return fail(err, OME_E_NOT_FOUND, "spec.storage.key: Secret %s is empty; put a key \"token\" into it", name);
  int32_t rc = token ? add_encoded(c, "token", token, err) : OME_OK;
  json_object_object_foreach (data, key, encoded) {
    if (rc == OME_OK && encoded != token)
      rc = add_encoded(c, key, encoded, err);
  }
  return rc;
}

int32_t credentials_of_parameters(struct credentials *c, struct json_object *model, struct ome_err *err) {
  struct json_object *parameters = json_at(model, "spec.storage.parameters");

  if (!json_is(parameters, json_type_object))
    return OME_OK;
  json_object_object_foreach (parameters, key, v) {
    if (v && !credentials_add(c, key, json_object_get_string(v)))
      return fail_memory(err);
  }
  return OME_OK;
}
