#include "xet_plan.h"

#include "../common/json.h"

#include <stdlib.h>
#include <string.h>

#define MAX_RANGES 100000u
#define MAX_TERMS 1000000u
#define MAX_XORB ((uint64_t)64 << 20) /* the specification's bound of a serialized xorb */

int xet_is_hash(const char *text) {
  return text && strlen(text) == XET_HASH - 1 && strspn(text, "0123456789abcdef") == XET_HASH - 1;
}

/* The whole number at KEY, at most MAX; -1: there is none. */
static int number_at(struct json_object *o, const char *key, uint64_t max, uint64_t *out) {
  struct json_object *v = NULL;

  if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, json_type_int))
    return -1;
  int64_t n = json_object_get_int64(v);
  if (n < 0 || (uint64_t)n > max)
    return -1;
  *out = (uint64_t)n;
  return 0;
}

/* {"start": A, "end": B} at KEY. */
static int span_at(struct json_object *o, const char *key, uint64_t max, uint64_t *start, uint64_t *end) {
  struct json_object *span = NULL;

  return json_object_object_get_ex(o, key, &span) && json_object_is_type(span, json_type_object) &&
                 number_at(span, "start", max, start) == 0 && number_at(span, "end", max, end) == 0
             ? 0
             : -1;
}

static const char *add_range(struct xet_plan *p, const char *hash, const char *url, struct json_object *o,
                             const char *chunks, const char *bytes) {
  struct xet_range r = {.start = 0};
  uint64_t start, end;

  if (!xet_is_hash(hash) || !json_object_is_type(o, json_type_object) ||
      span_at(o, chunks, UINT32_MAX, &start, &end) != 0 || start >= end ||
      span_at(o, bytes, INT64_MAX, &r.first, &r.last) != 0 || r.first > r.last || r.last - r.first >= MAX_XORB)
    return "one of its ranges makes no sense";
  if (strncmp(url, "https://", 8) != 0 && strncmp(url, "http://", 7) != 0)
    return "one of its ranges has no address";
  if (p->nranges == MAX_RANGES)
    return "it has too many ranges";
  if ((p->nranges & (p->nranges - 1)) == 0) {
    struct xet_range *grown = realloc(p->ranges, (p->nranges ? p->nranges * 2 : 1) * sizeof(*grown));
    if (!grown)
      return "out of memory";
    p->ranges = grown;
  }
  memcpy(r.hash, hash, XET_HASH);
  r.start = (uint32_t)start;
  r.end = (uint32_t)end;
  r.url = strdup(url);
  if (!r.url)
    return "out of memory";
  p->ranges[p->nranges++] = r;
  return NULL;
}

/* /v1: {"range", "url", "url_range"}; /v2: {"url", "ranges": [{"chunks", "bytes"}]} */
static const char *read_fetch(struct xet_plan *p, const char *hash, struct json_object *o) {
  struct json_object *ranges = json_array_at(o, "ranges");
  const char *url = json_text_at(o, "url");

  if (!ranges)
    return add_range(p, hash, url, o, "range", "url_range");
  const char *why = NULL;
  for (size_t i = 0; !why && i < json_object_array_length(ranges); i++)
    why = add_range(p, hash, url, json_object_array_get_idx(ranges, i), "chunks", "bytes");
  return why;
}

static const char *read_ranges(struct xet_plan *p, struct json_object *root) {
  struct json_object *xorbs = NULL;
  const char *why = NULL;

  if (!json_object_object_get_ex(root, "xorbs", &xorbs) && !json_object_object_get_ex(root, "fetch_info", &xorbs))
    return "it names no xorbs";
  if (!json_object_is_type(xorbs, json_type_object))
    return "it names no xorbs";
  json_object_object_foreach (xorbs, hash, entries) {
    if (!json_object_is_type(entries, json_type_array))
      return "its xorbs are no lists";
    for (size_t i = 0; !why && i < json_object_array_length(entries); i++)
      why = read_fetch(p, hash, json_object_array_get_idx(entries, i));
    if (why)
      break;
  }
  return why;
}

static const struct xet_range *range_of(const struct xet_plan *p, const char *hash, uint64_t start, uint64_t end) {
  for (size_t i = 0; i < p->nranges; i++)
    if (p->ranges[i].start <= start && end <= p->ranges[i].end && strcmp(p->ranges[i].hash, hash) == 0)
      return &p->ranges[i];
  return NULL;
}

static const char *read_terms(struct xet_plan *p, struct json_object *root) {
  struct json_object *terms = json_array_at(root, "terms");
  size_t n = terms ? json_object_array_length(terms) : 0;

  if (n == 0 || n > MAX_TERMS)
    return "it has no terms, or too many";
  p->terms = calloc(n, sizeof(*p->terms));
  if (!p->terms)
    return "out of memory";
  for (; p->nterms < n; p->nterms++) {
    struct json_object *o = json_object_array_get_idx(terms, p->nterms);
    struct xet_term *t = &p->terms[p->nterms];
    uint64_t start, end;
    if (!json_object_is_type(o, json_type_object) || span_at(o, "range", UINT32_MAX, &start, &end) != 0 ||
        start >= end || number_at(o, "unpacked_length", INT64_MAX, &t->unpacked) != 0)
      return "one of its terms makes no sense";
    t->start = (uint32_t)start;
    t->end = (uint32_t)end;
    t->range = range_of(p, json_text_at(o, "hash"), start, end);
    if (!t->range)
      return "one of its terms is in none of its ranges";
  }
  return number_at(root, "offset_into_first_range", p->terms[0].unpacked, &p->skip) == 0
             ? NULL
             : "it begins behind its first term";
}

const char *xet_plan_read(const char *text, size_t len, struct xet_plan *p) {
  struct json_object *root = json_read(text, len);
  const char *why = json_object_is_type(root, json_type_object) ? NULL : "it is no JSON";

  memset(p, 0, sizeof(*p));
  if (!why)
    why = read_ranges(p, root);
  if (!why)
    why = read_terms(p, root);
  (void)json_object_put(root);
  if (why)
    xet_plan_fini(p);
  return why;
}

void xet_plan_fini(struct xet_plan *p) {
  for (size_t i = 0; i < p->nranges; i++)
    free(p->ranges[i].url);
  free(p->ranges);
  free(p->terms);
  memset(p, 0, sizeof(*p));
}
