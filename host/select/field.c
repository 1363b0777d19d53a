#include "select/field.h"

#include "base/buf.h"
#include "base/str.h"
#include "base/strmap.h"

#include <string.h>

int32_t select_field_init(struct select_field *f, struct json_object *runtimes, struct ome_err *err) {
  size_t n = json_len(runtimes);

  *f = (struct select_field){.runtimes = calloc(n + 1, sizeof(*f->runtimes))};
  if (!f->runtimes)
    return fail_memory(err);
  for (size_t i = 0; i < n; i++) {
    struct json_object *doc = json_index(runtimes, i);
    const char *kind = json_str(doc, "kind", "");
    if (!streq(kind, "ClusterServingRuntime") && !streq(kind, "ServingRuntime"))
      continue;
    int32_t rc = select_runtime_init(&f->runtimes[f->n], doc, runtimes, err);
    if (rc != OME_OK) {
      select_field_fini(f);
      return rc;
    }
    f->n++;
  }
  return OME_OK;
}

void select_field_fini(struct select_field *f) {
  free(f->places);
  free(f->ends);
  for (size_t i = 0; i < f->n; i++)
    select_runtime_fini(&f->runtimes[i]);
  free(f->runtimes);
  *f = (struct select_field){0};
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

/* All that a scorer sees of an entry, as a key. */
static char *facts_text(const struct ome_supported_format *e) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_addf(&b, "%u\n%s\n%s\n%s\n%lld\n%s\n%s\n%s\n%lld\n%s\n%s\n%lld", e->flags, e->format, e->format_version,
           e->format_operator, (long long)e->format_weight, e->framework, e->framework_version, e->framework_operator,
           (long long)e->framework_weight, e->architecture, e->quantization, (long long)e->priority);
  for (const struct ome_kv *p = e->pipeline; p && p->key; p++)
    buf_addf(&b, "\n%s\n%s", p->key, p->value);
  return buf_take(&b);
}

/* The number of the kind of E among KNOWN, from 1; 0: out of memory. */
static uint32_t kind_of(struct strmap *known, const struct select_entry *e) {
  _cleanup_free_ char *key = facts_text(&e->facts);
  uintptr_t kind = key ? (uintptr_t)strmap_get(known, key) : 0;

  if (key && !kind && strmap_put(known, key, (void *)(strmap_len(known) + 1)))
    kind = strmap_len(known);
  return (uint32_t)kind;
}

static bool is_usable(const struct select_runtime *r) {
  return !(r->facts.flags & OME_RUNTIME_DISABLED) && !*r->problem;
}

/* KINDS gets the kind of every entry of the usable runtimes, from 1; false: out of memory. */
static bool find_kinds(const struct select_field *f, struct strmap *known, uint32_t *kinds) {
  for (size_t i = 0; i < f->n; i++)
    for (size_t j = 0; is_usable(&f->runtimes[i]) && j < f->runtimes[i].nentries; j++)
      if ((*kinds++ = kind_of(known, &f->runtimes[i].entries[j])) == 0)
        return false;
  return true;
}

/* Counts the kinds, then puts every entry behind those of its kind. */
static void place_all(struct select_field *f, const uint32_t *kinds, size_t n) {
  for (size_t i = 0; i < n; i++)
    f->ends[kinds[i]]++; /* of the kind before: kinds begin at 1 */
  for (size_t k = 1; k < f->nkinds; k++)
    f->ends[k] += f->ends[k - 1];
  for (uint32_t i = 0; i < f->n; i++)
    for (uint32_t j = 0; is_usable(&f->runtimes[i]) && j < f->runtimes[i].nentries; j++)
      f->places[f->ends[*kinds++ - 1]++] = (struct select_place){i, j};
}

int32_t select_field_sort(struct select_field *f, struct ome_err *err) {
  _cleanup_strmap_ struct strmap *known = strmap_new(NULL);
  size_t n = 0;

  for (size_t i = 0; i < f->n; i++)
    n += is_usable(&f->runtimes[i]) ? f->runtimes[i].nentries : 0;
  _cleanup_free_ uint32_t *kinds = calloc(n + 1, sizeof(*kinds));
  f->places = calloc(n + 1, sizeof(*f->places));
  f->ends = calloc(n + 2, sizeof(*f->ends)); /* there are no more kinds than entries */
  if (!known || !kinds || !f->places || !f->ends || !find_kinds(f, known, kinds))
    return fail_memory(err);
  f->nkinds = strmap_len(known);
  place_all(f, kinds, n);
  return OME_OK;
}
