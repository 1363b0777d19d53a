/* From a request line to a verb on a resource: paths, parameters, media types. */
#include "apiserver/faults.h"
#include "apiserver/server.h"

#include "base/clock.h"
#include "base/str.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

/* ---- who asks --------------------------------------------------------------------------------------------------- */

static bool is_authorized(struct apiserver *s, struct http_exchange *x) {
  const char *value = http_header(x, "authorization");
  size_t n = strlen(s->token);

  if (!value || strncasecmp(value, "Bearer ", 7) != 0)
    return false;
  value += 7;
  return strlen(value) == n && CRYPTO_memcmp(value, s->token, n) == 0;
}

/* ---- media types ------------------------------------------------------------------------------------------------ */

/* One range of an Accept header, without its parameters' order: "application/json;as=Table;v=v1;g=meta.k8s.io". */
struct accept_range {
  char type[64];
  char as[40];
};

static void read_range(const char *p, size_t len, struct accept_range *out) {
  _cleanup_free_ char *text = str_copy(p, len);
  _cleanup_free_ char **parts = text ? str_split(text, ';') : NULL;

  memset(out, 0, sizeof(*out));
  for (size_t i = 0; parts && parts[i]; i++) {
    char *part = parts[i] + strspn(parts[i], " \t");
    part[strcspn(part, " \t")] = '\0';
    if (i == 0)
      (void)snprintf(out->type, sizeof(out->type), "%s", part);
    else if (has_prefix(part, "as="))
      (void)snprintf(out->as, sizeof(out->as), "%s", part + 3);
  }
}

static bool accept_one(struct request *req, const struct accept_range *range) {
  static const struct {
    const char *as;
    enum form form;
  } forms[] = {{"", FORM_OBJECT},
               {"Table", FORM_TABLE},
               {"PartialObjectMetadata", FORM_PARTIAL},
               {"PartialObjectMetadataList", FORM_PARTIAL_LIST}};
  bool json =
      streq(range->type, "application/json") || streq(range->type, "*/*") || streq(range->type, "application/*");
  bool yaml = streq(range->type, "application/yaml");

  if (!json && !yaml)
    return false;
  for (size_t i = 0; i < ARRAY_LEN(forms); i++)
    if (streq(range->as, forms[i].as)) {
      req->form = forms[i].form;
      req->pretty_yaml = yaml;
      return true;
    }
  return false;
}

/* The first range that we can serve; false: none. */
static bool negotiate(struct request *req) {
  const char *accept = http_header(req->x, "accept");

  if (!accept || !*accept)
    return true;
  for (const char *p = accept; *p;) {
    size_t len = strcspn(p, ",");
    struct accept_range range;
    read_range(p + strspn(p, " "), len - (strspn(p, " ") < len ? strspn(p, " ") : 0), &range);
    if (accept_one(req, &range))
      return true;
    p += len + (p[len] == ',');
  }
  return false;
}

/* ---- paths ------------------------------------------------------------------------------------------------------ */

struct path {
  char **parts; /* decoded segments, NULL-terminated */
  size_t n;
};

static void path_fini(struct path *p) {
  for (size_t i = 0; i < p->n; i++)
    free(p->parts[i]);
  free(p->parts);
}

static bool path_read(const char *text, struct path *out) {
  _cleanup_free_ char **raw = str_split(text, '/');
  size_t n = 0;

  memset(out, 0, sizeof(*out));
  while (raw && raw[n])
    n++;
  out->parts = calloc(n + 1, sizeof(char *));
  if (!raw || !out->parts)
    return false;
  for (size_t i = 0; i < n; i++)
    if (*raw[i])
      out->parts[out->n++] = url_decode(raw[i], strlen(raw[i]));
  return true;
}

/* Whether the path at I is "namespaces/NS/PLURAL...", and not the status or finalize of the namespace itself. */
static bool is_namespaced(const struct path *p, size_t i, bool core) {
  if (i + 2 >= p->n || !streq(p->parts[i], "namespaces"))
    return false;
  return !(core && (streq(p->parts[i + 2], "status") || streq(p->parts[i + 2], "finalize")));
}

/* Fills REQ from "/api/v1/..." and "/apis/GROUP/VERSION/..."; whether there is such a resource. */
static bool resolve(struct request *req, const struct path *p) {
  bool core = p->n >= 3 && streq(p->parts[0], "api");
  size_t i = core ? 1 : 2;

  if (!core && !(p->n >= 4 && streq(p->parts[0], "apis")))
    return false;
  const char *group = core ? "" : p->parts[1];
  const char *version = p->parts[i++];
  bool watch_path = streq(p->parts[i], "watch"); /* the old form of watching */
  i += watch_path;
  bool namespaced = is_namespaced(p, i, core);
  req->ns = strdup(namespaced ? p->parts[i + 1] : "");
  i += namespaced ? 2 : 0;
  if (i >= p->n)
    return false;
  req->resource = registry_find(req->server->registry, group, version, p->parts[i++]);
  req->name = strdup(i < p->n ? p->parts[i++] : "");
  req->sub = strdup(i < p->n ? p->parts[i++] : "");
  if (watch_path)
    req->verb = VERB_WATCH;
  return req->resource && i >= p->n && (!*req->ns || req->resource->namespaced);
}

static bool has_subresource(const struct request *req) {
  static const struct {
    const char *name;
    uint32_t bit;
  } subs[] = {{"status", SUB_STATUS},     {"scale", SUB_SCALE},       {"log", SUB_LOG},    {"binding", SUB_BINDING},
              {"eviction", SUB_EVICTION}, {"finalize", SUB_FINALIZE}, {"token", SUB_TOKEN}};

  if (!*req->sub)
    return true;
  for (size_t i = 0; i < ARRAY_LEN(subs); i++)
    if (streq(req->sub, subs[i].name))
      return (req->resource->subresources & subs[i].bit) != 0;
  return false;
}

/* ---- parameters ------------------------------------------------------------------------------------------------- */

/* As strconv.ParseBool reads it. */
static bool is_true(const char *v) {
  static const char *const words[] = {"1", "t", "T", "true", "TRUE", "True"};

  for (size_t i = 0; v && i < ARRAY_LEN(words); i++)
    if (streq(v, words[i]))
      return true;
  return false;
}

/* fieldManager, or the first word of the user agent, as the real server takes it. */
static bool read_manager(struct request *req) {
  const char *manager = http_query(req->x, "fieldManager");

  if (manager && *manager) {
    if (strlen(manager) > 128) {
      answer_failure(req, 422, "Invalid", "fieldManager: Too long: may not be longer than 128");
      return false;
    }
    req->manager_text = strdup(manager);
  } else {
    const char *agent = http_header(req->x, "user-agent");
    agent = agent && *agent ? agent : "unknown";
    size_t n = strcspn(agent, "/");
    req->manager_text = str_copy(agent, n < 128 ? n : 128);
  }
  req->manager = req->manager_text;
  return true;
}

static bool read_parameters(struct request *req) {
  const char *dry_run = http_query(req->x, "dryRun");
  const char *validation = http_query(req->x, "fieldValidation");
  const char *timeout = http_query(req->x, "timeoutSeconds");
  int64_t seconds;

  if (timeout && *timeout && !str_to_i64(timeout, &seconds)) {
    answer_failure(req, 400, "BadRequest", "strconv.ParseInt: parsing \"%s\": invalid syntax", timeout);
    return false;
  }
  if (dry_run && *dry_run && !streq(dry_run, "All")) {
    answer_failure(req, 422, "Invalid",
                   " \"\" is invalid: dryRun: Unsupported value: []string{\"%s\"}: supported values: \"All\"", dry_run);
    return false;
  }
  req->dry_run = dry_run && *dry_run;
  if (validation && *validation) {
    if (streq(validation, "Strict"))
      req->field_validation = FIELDS_STRICT;
    else if (streq(validation, "Ignore"))
      req->field_validation = FIELDS_IGNORE;
    else if (!streq(validation, "Warn")) {
      answer_failure(req, 422, "Invalid",
                     " \"\" is invalid: fieldValidation: Invalid value: \"%s\": fieldValidation parameter must be one "
                     "of \"Ignore\", \"Warn\", \"Strict\"",
                     validation);
      return false;
    }
  }
  return read_manager(req);
}

/* ---- verbs ------------------------------------------------------------------------------------------------------ */

static void method_not_allowed(struct request *req) {
  answer_failure(req, 405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
}

static bool verb_of(struct request *req) {
  static const struct {
    const char *method;
    bool named;
    enum verb verb;
  } verbs[] = {{"GET", false, VERB_LIST},   {"GET", true, VERB_GET},       {"HEAD", false, VERB_LIST},
               {"HEAD", true, VERB_GET},    {"POST", false, VERB_CREATE},  {"PUT", true, VERB_UPDATE},
               {"PATCH", true, VERB_PATCH}, {"DELETE", true, VERB_DELETE}, {"DELETE", false, VERB_DELETE_COLLECTION},
               {"POST", true, VERB_CREATE}};
  bool named = *req->name != '\0';
  bool wants_watch = req->verb == VERB_WATCH || is_true(http_query(req->x, "watch"));

  for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
    if (streq(verbs[i].method, http_method(req->x)) && verbs[i].named == named) {
      req->verb = verbs[i].verb;
      if (wants_watch && (req->verb == VERB_LIST || req->verb == VERB_GET))
        req->verb = VERB_WATCH;
      return true;
    }
  return false;
}

/* What the resource does not offer at all. */
static bool is_allowed(const struct request *req) {
  const struct resource *r = req->resource;
  bool all_namespaces = r->namespaced && !*req->ns;

  if (r->flags & RES_VIRTUAL)
    return req->verb == VERB_CREATE && !*req->name;
  if (all_namespaces)
    return !*req->name && (req->verb == VERB_LIST || req->verb == VERB_WATCH);
  if (req->verb == VERB_CREATE && *req->name)
    return streq(req->sub, "binding") || streq(req->sub, "eviction") || streq(req->sub, "token");
  if (req->verb == VERB_DELETE_COLLECTION)
    return !(r->flags & RES_NO_COLLECTION_DELETE);
  if (*req->sub)
    return req->verb == VERB_GET || (!streq(req->sub, "log") && (req->verb == VERB_UPDATE || req->verb == VERB_PATCH));
  return true;
}

static void run(struct request *req) {
  static void (*const verbs[])(struct request *) = {
      [VERB_GET] = verb_get,       [VERB_LIST] = verb_list,
      [VERB_WATCH] = verb_watch,   [VERB_CREATE] = verb_create,
      [VERB_UPDATE] = verb_update, [VERB_PATCH] = verb_patch,
      [VERB_DELETE] = verb_delete, [VERB_DELETE_COLLECTION] = verb_delete_collection,
  };

  if (req->resource->flags & RES_VIRTUAL || streq(req->sub, "token") || streq(req->sub, "eviction") ||
      streq(req->sub, "binding"))
    verb_review(req);
  else if (streq(req->sub, "scale"))
    verb_scale(req);
  else if (streq(req->sub, "log"))
    verb_log(req);
  else
    verbs[req->verb](req);
}

void request_run_again(struct request *req) {
  http_headers_rewind(req->x, req->headers);
  json_unref(req->duplicates);
  req->duplicates = NULL;
  run(req);
}

static void handle_resource(struct apiserver *s, struct http_exchange *x, const struct path *p) {
  struct request *req = calloc(1, sizeof(*req));

  if (!req) {
    answer_plain_status(x, 500, "InternalError", "out of memory");
    return;
  }
  req->server = s;
  req->x = x;
  if (!resolve(req, p) || !has_subresource(req)) {
    request_free(req);
    answer_plain_status(x, 404, "NotFound", "the server could not find the requested resource");
    return;
  }
  if (!verb_of(req) || !is_allowed(req)) {
    method_not_allowed(req);
    return;
  }
  if (!streq(req->sub, "log") && !negotiate(req)) {
    answer_failure(req, 406, "NotAcceptable",
                   "only the following media types are accepted: application/json, application/yaml, "
                   "application/json;as=Table, application/json;as=PartialObjectMetadata");
    return;
  }
  if (req->resource->deprecated)
    answer_warning(req, "%s",
                   req->resource->deprecation_warning ? req->resource->deprecation_warning
                                                      : "this version is deprecated");
  if (!read_parameters(req))
    return;
  req->now_ms = wall_ms() + faults_skew_ms(s->faults);
  req->headers = http_headers_mark(x);
  audit_request(req);
  run(req);
}

void rest_handle(void *server, struct http_exchange *x) {
  struct apiserver *s = server;

  if (!is_authorized(s, x))
    answer_plain_status(x, 401, "Unauthorized", "Unauthorized");
  else if (!faults_request(s, x))
    rest_dispatch(s, x);
}

void rest_dispatch(struct apiserver *s, struct http_exchange *x) {
  _cleanup_(path_fini) struct path p = {NULL, 0};
  size_t body_len;

  (void)http_body(x, &body_len);
  if (body_len > OBJECT_MAX) {
    answer_plain_status(x, 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728");
    return;
  }
  if (!path_read(http_path(x), &p)) {
    answer_plain_status(x, 500, "InternalError", "out of memory");
    return;
  }
  if (discovery_handle(s, x))
    return;
  if (openapi_handle(s, x)) {
    trim_later(s); /* whole documents, made anew each time */
    return;
  }
  if (p.n >= 3 && (streq(p.parts[0], "api") || streq(p.parts[0], "apis")))
    handle_resource(s, x, &p);
  else
    answer_plain_status(x, 404, "NotFound", "the server could not find the requested resource");
}
