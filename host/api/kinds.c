/* The kinds that the .schema texts describe, and the CRDs of those that have a plural. */
#include "api/notation.h"
#include "api/schema.h"

#include "base/str.h"

#include <pthread.h>
#include <string.h>

/* The texts themselves, NUL-terminated, in read-only memory. */
#define EMBED(symbol, file)                                                                                            \
  __asm__(".pushsection .rodata\n.global " #symbol "\n" #symbol ":\n.incbin \"" OME_SCHEMA_DIR "/" file                \
          "\"\n.byte 0\n.popsection\n");                                                                               \
  extern const char symbol[]

EMBED(api_schema_core, "core.schema");
EMBED(api_schema_ome, "ome.schema");

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static struct notation *g_notation; /* made once, under g_lock; lives as long as the process */

static struct notation *notation_locked(void) {
  static const char *const texts[] = {api_schema_core, api_schema_ome, NULL};

  if (!g_notation)
    g_notation = notation_new(texts);
  return g_notation;
}

const struct schema *schema_builtin(const char *group, const char *version, const char *kind) {
  struct notation_kind found = {.schema = NULL};

  (void)pthread_mutex_lock(&g_lock);
  (void)notation_find(notation_locked(), group, version, kind, &found);
  (void)pthread_mutex_unlock(&g_lock);
  return found.schema;
}

/* ---- CRDs ------------------------------------------------------------------------------------------------------- */

static char *trimmed(const char *p, size_t len) {
  while (len && *p == ' ') {
    p++;
    len--;
  }
  while (len && p[len - 1] == ' ')
    len--;
  return str_copy(p, len);
}

/* "  column NAME | TYPE | PATH | PRIORITY" */
static struct json_object *column(const char *line) {
  static const char *const keys[] = {"name", "type", "jsonPath", "priority"};
  struct json_object *o = json_object_new_object();
  const char *end = line + strcspn(line, "\n");
  const char *p = line + strlen("  column ");

  for (size_t i = 0; i < ARRAY_LEN(keys) && p < end; i++) {
    const char *bar = memchr(p, '|', (size_t)(end - p));
    _cleanup_free_ char *text = trimmed(p, (size_t)((bar ? bar : end) - p));
    if (i == 3)
      (void)json_set_i64(o, keys[i], strtoll(text, NULL, 10));
    else
      (void)json_set_str(o, keys[i], text);
    p = bar ? bar + 1 : end;
  }
  return o;
}

static struct json_object *columns(const char *line) {
  struct json_object *list = json_object_new_array();

  for (; line && has_prefix(line, "  column "); line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
    (void)json_add(list, column(line));
  return list;
}

static struct json_object *make_version(const struct notation_kind *k) {
  struct json_object *v = json_object_new_object();

  (void)json_set_str(v, "name", k->version);
  (void)json_set_bool(v, "served", true);
  (void)json_set_bool(v, "storage", true);
  (void)json_set(v, "subresources.status", json_object_new_object());
  (void)json_set(v, "additionalPrinterColumns", columns(k->columns));
  (void)json_set(v, "schema.openAPIV3Schema", schema_to_openapi(k->schema, true));
  return v;
}

static struct json_object *make_names(const struct notation_kind *k) {
  struct json_object *names = json_object_new_object();
  _cleanup_free_ char *list = str_printf("%sList", k->kind);
  _cleanup_free_ char *singular = str_lower(k->kind);

  (void)json_set_str(names, "kind", k->kind);
  (void)json_set_str(names, "listKind", list);
  (void)json_set_str(names, "plural", k->plural);
  (void)json_set_str(names, "singular", singular);
  if (*k->short_names) {
    _cleanup_free_ char **parts = str_split(k->short_names, ',');
    (void)json_set(names, "shortNames", parts ? json_strings((const char *const *)parts) : NULL);
  }
  return names;
}

static struct json_object *make_crd(const struct notation_kind *k) {
  struct json_object *crd = json_object_new_object();
  _cleanup_free_ char *name = str_printf("%s.%s", k->plural, k->group);

  (void)json_set_str(crd, "apiVersion", "apiextensions.k8s.io/v1");
  (void)json_set_str(crd, "kind", "CustomResourceDefinition");
  (void)json_set_str(crd, "metadata.name", name);
  (void)json_set_str(crd, "spec.group", k->group);
  (void)json_set(crd, "spec.names", make_names(k));
  (void)json_set_str(crd, "spec.scope", streq(k->scope, "namespaced") ? "Namespaced" : "Cluster");
  (void)json_add(json_ensure_array(crd, "spec.versions"), make_version(k));
  return crd;
}

struct json_object *api_crds(void) {
  struct json_object *list = json_object_new_array();
  struct notation_kind k;

  (void)pthread_mutex_lock(&g_lock);
  for (size_t i = 0; notation_crd(notation_locked(), i, &k); i++)
    (void)json_add(list, make_crd(&k));
  (void)pthread_mutex_unlock(&g_lock);
  return list;
}
