#include "plugin/keys.h"

#include "base/quantity.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

static const char *const type_names[] = {
    [OME_KEY_STRING] = "string", [OME_KEY_BOOL] = "bool",         [OME_KEY_INT] = "int",
    [OME_KEY_SIZE] = "size",     [OME_KEY_DURATION] = "duration", [OME_KEY_SECRET] = "secret",
};

const char *key_type_name(uint32_t type) {
  return type < ARRAY_LEN(type_names) ? type_names[type] : "unknown";
}

/* TEXT as the type wants it handed over; new, NULL: it is none. */
static char *convert(uint32_t type, const char *text) {
  int64_t n;

  switch (type) {
  case OME_KEY_BOOL:
    return streq(text, "true") || streq(text, "false") ? strdup(text) : NULL;
  case OME_KEY_INT:
    return str_to_i64(text, &n) ? strdup(text) : NULL;
  case OME_KEY_SIZE:
    return quantity_value(text, &n) && n >= 0 ? str_printf("%lld", (long long)n) : NULL;
  case OME_KEY_DURATION:
    return str_to_ms(text, &n) ? str_printf("%lld", (long long)n) : NULL;
  default:
    return strdup(text);
  }
}

void keys_fini(struct keys *k) {
  for (uint32_t i = 0; i < k->n; i++) {
    char *value = (char *)(uintptr_t)k->pairs[i].value;
    explicit_bzero(value, strlen(value));
    free(value);
  }
  free(k->pairs);
  memset(k, 0, sizeof(*k));
}

static const struct ome_key *find_key(const struct ome_factory *f, const char *name) {
  for (const struct ome_key *const *k = f->keys; k && *k; k++)
    if (streq((*k)->name, name))
      return *k;
  return NULL;
}

static int32_t check_known(const struct ome_factory *f, struct json_object *settings, struct ome_err *err) {
  if (settings && !json_is(settings, json_type_object))
    return fail(err, OME_E_INVALID, "%s: settings must be a mapping", f->name);
  if (settings) {
    json_object_object_foreach (settings, key, v) {
      (void)v;
      if (!find_key(f, key))
        return fail(err, OME_E_INVALID, "%s: unknown setting \"%s\"; `ome plugin info %s` lists them", f->name, key,
                    f->name);
    }
  }
  return OME_OK;
}

/* The value of KEY from V, its setting, or its default; new. *OUT stays NULL for a key that has neither. */
static int32_t resolve_key(const struct ome_factory *f, const struct ome_key *key, struct json_object *v, char **out,
                           struct ome_err *err) {
  bool secret = key->type == OME_KEY_SECRET;

  if (json_is(v, json_type_object) || json_is(v, json_type_array))
    return fail(err, OME_E_INVALID, "%s: setting \"%s\" is one value, not a list or mapping", f->name, key->name);
  const char *text = v ? json_object_get_string(v) : key->dflt;
  if (!text && (key->flags & OME_KEY_REQUIRED))
    return fail(err, OME_E_INVALID, "%s: setting \"%s\" is required: %s", f->name, key->name, key->doc);
  if (!text)
    return OME_OK;
  *out = convert(key->type, text);
  if (*out)
    return OME_OK;
  return fail(err, OME_E_INVALID, "%s: setting \"%s\": \"%s\" is no %s", f->name, key->name, secret ? "..." : text,
              key_type_name(key->type));
}

int32_t keys_resolve(const struct ome_factory *f, struct json_object *settings, struct keys *out, struct ome_err *err) {
  _cleanup_(keys_fini) struct keys k = {NULL, 0};
  size_t n = 0;
  int32_t rc = check_known(f, settings, err);

  while (f->keys && f->keys[n])
    n++;
  k.pairs = calloc(n + 1, sizeof(*k.pairs));
  if (rc == OME_OK && !k.pairs)
    rc = fail_memory(err);
  for (size_t i = 0; rc == OME_OK && i < n; i++) {
    char *value = NULL;
    rc = resolve_key(f, f->keys[i], json_get(settings, f->keys[i]->name), &value, err);
    if (value)
      k.pairs[k.n++] = (struct ome_kv){f->keys[i]->name, value};
  }
  if (rc == OME_OK) {
    *out = k;
    memset(&k, 0, sizeof(k));
  }
  return rc;
}
