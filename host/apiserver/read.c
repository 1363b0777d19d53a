/* GET of one object and of lists: paging, selectors, resourceVersion semantics. */
#include "apiserver/faults.h"
#include "apiserver/server.h"

#include "api/selector.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Versions of a kind differ in nothing but apiVersion here (conversion strategy None). */
void present(const struct resource *r, struct json_object *o) {
  char api_version[256];

  resource_api_version(r, api_version);
  if (!streq(json_str(o, "apiVersion", ""), api_version))
    (void)json_set_str(o, "apiVersion", api_version);
  if (r->crd && r->has_defaults)
    schema_default(r->schema, o);
}

void splice_object(struct buf *b, const struct resource *r, const char *text, bool bare) {
  const char *rest = store_text_rest(text);
  char api_version[256];

  buf_addc(b, '{');
  if (bare) {
    rest += *rest == ',';
  } else {
    resource_api_version(r, api_version);
    buf_addf(b, "\"apiVersion\":\"%s\",\"kind\":\"%s\"", api_version, r->kind);
  }
  if (!r->crd || !r->has_defaults) {
    buf_adds(b, rest);
    return;
  }
  /* A default may be younger than the object. */
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  _cleanup_free_ char *full = NULL;
  if (json_parse(text, strlen(text), SIZE_MAX, &o, &err) == OME_OK) {
    json_object_object_del(o, "apiVersion");
    json_object_object_del(o, "kind");
    schema_default(r->schema, o);
    full = json_text(o);
  }
  if (full && !bare)
    buf_addc(b, ',');
  buf_adds(b, full ? full + 1 : rest);
}

struct json_object *load(struct apiserver *s, const struct resource *r, const char *ns, const char *name) {
  const struct store_key key = {r->collection, ns, name};
  _cleanup_free_ char *text = store_get(s->store, &key);
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  if (!text || json_parse(text, strlen(text), SIZE_MAX, &o, &err) != OME_OK)
    return NULL;
  present(r, o);
  return o;
}

/* resourceVersion and resourceVersionMatch of the query; false: answered. */
static bool check_version(struct request *req, const char *version, const char *match, int64_t *out) {
  *out = 0;
  if (match && *match && req->verb != VERB_WATCH) {
    if (!version || !*version) {
      answer_failure(req, 422, "Invalid",
                     "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is "
                     "provided");
      return false;
    }
    if (!streq(match, "Exact") && !streq(match, "NotOlderThan")) {
      answer_failure(req, 422, "Invalid",
                     "resourceVersionMatch: Unsupported value: \"%s\": supported values: \"Exact\", \"NotOlderThan\"",
                     match);
      return false;
    }
    if (streq(match, "Exact") && streq(version, "0")) {
      answer_failure(req, 422, "Invalid",
                     "resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion "
                     "\"0\"");
      return false;
    }
  }
  if (!version || !*version)
    return true;
  if (!str_to_i64(version, out) || *out < 0) {
    answer_failure(req, 400, "BadRequest",
                   "resourceVersion: Invalid value: \"%s\": strconv.ParseUint: parsing \"%s\": "
                   "invalid syntax",
                   version, version);
    return false;
  }
  if (*out > store_version(req->server->store)) {
    struct json_object *details = json_object_new_object();
    details_add_cause(details, "ResourceVersionTooLarge", "Too large resource version", NULL);
    (void)json_set_i64(details, "retryAfterSeconds", 1);
    _cleanup_free_ char *message = str_printf("Too large resource version: %s, current: %lld", version,
                                              (long long)store_version(req->server->store));
    answer_failure_details(req, 504, "Timeout", details, message);
    return false;
  }
  return true;
}

void verb_get(struct request *req) {
  int64_t version;

  if (!check_version(req, http_query(req->x, "resourceVersion"), NULL, &version))
    return;
  struct json_object *o = load(req->server, req->resource, req->ns, req->name);
  if (o)
    answer_object(req, 200, o);
  else
    answer_not_found(req);
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

struct list {
  struct request *req;
  struct selector *labels, *fields;
  struct buf text; /* of the whole answer */
  uint64_t limit;  /* 0: none */
  uint64_t taken;
  uint64_t rest;   /* items behind the page, as far as they were looked at */
  bool count_rest; /* look at them all */
  bool more;
  char *last_ns, *last_name; /* of the last item */
  bool failed;
};

static bool selects_all(const struct list *l) {
  const struct selector_term *terms;

  return selector_terms(l->labels, &terms) == 0 && selector_terms(l->fields, &terms) == 0;
}

static bool labels_match(const struct list *l, const char *labels) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  const struct selector_term *terms;

  if (selector_terms(l->labels, &terms) == 0)
    return true;
  if (*labels)
    (void)json_parse(labels, strlen(labels), SIZE_MAX, &o, &err);
  return selector_match(l->labels, o);
}

static bool fields_match(const struct list *l, const char *text, size_t len) {
  _cleanup_json_ struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;
  const struct selector_term *terms;

  if (selector_terms(l->fields, &terms) == 0)
    return true;
  return json_parse(text, len, SIZE_MAX, &o, &err) == OME_OK && field_selector_match(l->fields, o);
}

/* A stored text as an item of the list, in the form that was asked for: one at a time, so that a long Table needs no
 * more memory than its text. */
static void add_item(struct list *l, const char *text) {
  const struct resource *r = l->req->resource;
  _cleanup_json_ struct json_object *o = NULL;
  struct json_object *shown;
  struct ome_err err = ERR_INIT;

  if (l->req->form == FORM_OBJECT) {
    splice_object(&l->text, r, text, !r->crd); /* items of built-in kinds say nothing of what the list says already */
    return;
  }
  if (json_parse(text, strlen(text), SIZE_MAX, &o, &err) != OME_OK)
    return;
  present(r, o);
  shown = l->req->form == FORM_TABLE ? table_row(l->req, o) : partial_of(o);
  _cleanup_free_ char *row = json_text(shown);
  json_unref(shown);
  buf_adds(&l->text, row);
}

static bool take_item(void *arg, const char *ns, const char *name, const char *text, size_t len, const char *labels) {
  struct list *l = arg;

  if (!labels_match(l, labels) || !fields_match(l, text, len))
    return true;
  if (l->limit && l->taken == l->limit) {
    l->more = true;
    l->rest++;
    return l->count_rest;
  }
  (void)len;
  if (l->taken++)
    buf_addc(&l->text, ',');
  add_item(l, text);
  if (l->limit) {
    free(l->last_ns);
    free(l->last_name);
    l->last_ns = strdup(ns);
    l->last_name = strdup(name);
  }
  return buf_ok(&l->text);
}

/* A continue token: unpadded base64url (RFC 4648 section 5) of {"v", "rv", "ns", "start"}: the place of the last item
 * and the moment of the list; rv -1 goes on with whatever there is. */
static char *make_token(const char *ns, const char *name, int64_t version) {
  _cleanup_json_ struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "v", "meta.k8s.io/v1");
  (void)json_set_i64(o, "rv", version);
  (void)json_set_str(o, "ns", ns);
  (void)json_set_str(o, "start", name);
  _cleanup_free_ char *text = json_text(o);
  char *token = text ? base64_encode(text, strlen(text)) : NULL;
  for (char *c = token; c && *c; c++)
    *c = (char)(*c == '+' ? '-' : *c == '/' ? '_' : *c);
  if (token)
    token[strcspn(token, "=")] = '\0';
  return token;
}

static struct json_object *read_token(const char *token) {
  size_t len = strcspn(token, "=");
  _cleanup_free_ char *padded = str_printf("%.*s%s", (int)len, token, &"==="[3 - (4 - len % 4) % 4]);
  for (char *c = padded; c && *c; c++)
    *c = (char)(*c == '-' ? '+' : *c == '_' ? '/' : *c);
  _cleanup_free_ char *text = padded ? base64_decode(padded, &len) : NULL;
  struct json_object *o = NULL;
  struct ome_err err = ERR_INIT;

  if (!text || json_parse(text, len, 4096, &o, &err) != OME_OK || !json_at(o, "rv") || !json_at(o, "start")) {
    json_unref(o);
    return NULL;
  }
  return o;
}

static void answer_expired(struct request *req, const char *message) {
  struct json_object *o = status_object(410, "Expired", message, NULL);

  answer_object(req, 410, o);
}

/* The past of a paged list is gone; who does not mind that it changed in between may go on with the token given. */
static void answer_stale_token(struct request *req, struct json_object *token) {
  struct json_object *o = status_object(
      410, "Expired",
      "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
      "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
      "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
      "deleted between the time the first chunk was returned and now may show up in the list.",
      NULL);
  _cleanup_free_ char *next = make_token(json_str(token, "ns", ""), json_str(token, "start", ""), -1);

  (void)json_set_str(o, "metadata.continue", next ? next : "");
  answer_object(req, 410, o);
}

/* Completes the text of the list with its metadata, which comes first in no order that matters. */
static void finish_list(struct list *l, int64_t version, const char *token) {
  struct request *req = l->req;
  char api_version[256];
  resource_api_version(req->resource, api_version);
  if (req->form != FORM_OBJECT)
    (void)snprintf(api_version, sizeof(api_version), "meta.k8s.io/v1");
  buf_addf(&l->text, "],\"kind\":\"%s\"",
           req->form == FORM_OBJECT  ? req->resource->list_kind
           : req->form == FORM_TABLE ? "Table"
                                     : "PartialObjectMetadataList");
  if (req->form == FORM_TABLE) {
    struct json_object *columns = table_columns(req->resource);
    _cleanup_free_ char *columns_text = json_text(columns);
    json_unref(columns);
    buf_addf(&l->text, ",\"columnDefinitions\":%s", columns_text ? columns_text : "[]");
  }
  buf_addf(&l->text, ",\"apiVersion\":\"%s\",\"metadata\":{\"resourceVersion\":\"%lld\"", api_version,
           (long long)version);
  if (token) {
    buf_addf(&l->text, ",\"continue\":\"%s\"", token);
    if (selects_all(l) && !l->count_rest)
      l->rest = (uint64_t)store_count_after(req->server->store, req->resource->collection, *req->ns ? req->ns : NULL,
                                            l->last_ns, l->last_name);
    if (selects_all(l)) /* with a selector nobody knows without looking */
      buf_addf(&l->text, ",\"remainingItemCount\":%llu", (unsigned long long)l->rest);
  }
  buf_adds(&l->text, "}}");
}

static void answer_list(struct list *l) {
  struct request *req = l->req;
  struct ome_err err = ERR_INIT;
  struct json_object *o = NULL;

  if (!buf_ok(&l->text)) {
    answer_failure(req, 500, "InternalError", "the list is too large; ask for it in pages (limit=500)");
    return;
  }
  const char *pretty = http_query(req->x, "pretty");
  if (!req->pretty_yaml && !pretty) {
    size_t len = l->text.len;
    answer_text(req, 200, buf_take(&l->text), len);
    return;
  }
  req->form = FORM_OBJECT; /* it has its form */
  if (json_parse(buf_str(&l->text), l->text.len, SIZE_MAX, &o, &err) != OME_OK)
    answer_error(req, &err);
  else
    answer_object(req, 200, o);
}

static void list_fini(struct list *l) {
  selector_free(l->labels);
  selector_free(l->fields);
  buf_fini(&l->text);
  free(l->last_ns);
  free(l->last_name);
}

/* The selectors of the query; false: answered. */
static bool read_selectors(struct request *req, struct selector **labels, struct selector **fields) {
  const char *text = http_query(req->x, "labelSelector");
  struct ome_err err = ERR_INIT;

  if (selector_parse(text, labels, &err) == OME_OK)
    return read_field_selector(req, fields);
  answer_failure(req, 400, "BadRequest", "%s", err.msg);
  return false;
}

/* Continues where the token TEXT says, in the version it was made at. */
static bool continue_from(struct list *l, const char *text, const char *asked, struct json_object **token,
                          int64_t *version) {
  struct request *req = l->req;
  struct store *s = req->server->store;

  *token = read_token(text);
  if (!*token) {
    answer_failure(req, 400, "BadRequest", "continue key is not valid: the token cannot be read");
    return false;
  }
  if (asked && *asked && !streq(asked, "0")) {
    answer_failure(req, 400, "BadRequest", "specifying resource version is not allowed when using continue");
    return false;
  }
  *version = json_i64(*token, "rv", 0);
  if (*version == -1 || *version > store_version(s))
    *version = store_version(s);
  if (*version >= store_compacted(s) && !faults_expire(req->server->faults, req->x))
    return true;
  answer_stale_token(req, *token);
  return false;
}

/* Where a page starts and at which moment; false: answered. */
static bool read_start(struct list *l, struct json_object **token, int64_t *version) {
  struct request *req = l->req;
  struct store *s = req->server->store;
  const char *text = http_query(req->x, "continue");
  const char *limit = http_query(req->x, "limit");
  const char *match = http_query(req->x, "resourceVersionMatch");
  const char *asked = http_query(req->x, "resourceVersion");
  bool exact = match && streq(match, "Exact");
  int64_t n = 0;

  if (limit && *limit && (!str_to_i64(limit, &n) || n < 0)) {
    answer_failure(req, 400, "BadRequest", "limit: \"%s\" is not a number of items", limit);
    return false;
  }
  l->limit = (uint64_t)n;
  if (text && *text)
    return continue_from(l, text, asked, token, version);
  if (!check_version(req, asked, match, version))
    return false;
  if (!exact || !*version)
    *version = store_version(s);
  if (*version >= store_compacted(s))
    return true;
  answer_expired(req, "The resourceVersion for the provided list is too old.");
  return false;
}

void verb_list(struct request *req) {
  _cleanup_(list_fini) struct list l = {.req = req};
  _cleanup_json_ struct json_object *token = NULL;
  struct store *s = req->server->store;
  struct ome_err err = ERR_INIT;
  int64_t version = 0;

  buf_init(&l.text, (size_t)512 << 20);
  if (!read_selectors(req, &l.labels, &l.fields) || !read_start(&l, &token, &version))
    return;
  const struct store_part part = {.collection = req->resource->collection,
                                  .ns = *req->ns ? req->ns : NULL,
                                  .after_ns = token ? json_str(token, "ns", "") : NULL,
                                  .after_name = token ? json_str(token, "start", "") : NULL,
                                  .version = version};
  l.count_rest = version != store_version(s) && selects_all(&l);
  buf_adds(&l.text, req->form == FORM_TABLE ? "{\"rows\":[" : "{\"items\":[");
  if (store_list(s, &part, take_item, &l, &err) != OME_OK) {
    answer_error(req, &err);
    return;
  }
  _cleanup_free_ char *next = l.more ? make_token(l.last_ns, l.last_name, version) : NULL;
  finish_list(&l, version, next);
  answer_list(&l);
}
