/* One request's way through the webhooks: who is asked, what was answered, what follows. */
#include "apiserver/admission.h"

#include "apiserver/patch.h"
#include "base/clock.h"
#include "base/str.h"
#include "kube/meta.h"
#include "net/http_client.h"

#include <string.h>

#define AT_ONCE 16u /* calls of one request that run */

/* What one webhook was asked and answered. */
struct opinion {
  char key[65]; /* of the webhook and everything it was asked */
  bool there;   /* the answer is */
  int32_t rc;
  struct ome_err err;
  struct json_object *response;
};

struct admission {
  struct request *req;
  VEC(struct opinion) opinions;
  size_t running;
  uint64_t until_ms;
  char *group, *version, *plural; /* to find the resource again */
};

/* Which opinion a call is for: the list may move while it runs. */
struct question {
  struct admission *admission;
  size_t index;
};

void admission_free(struct admission *a) {
  if (!a)
    return;
  a->req = NULL;
  if (a->running) /* the last call frees it */
    return;
  for (size_t i = 0; i < a->opinions.len; i++)
    json_unref(a->opinions.items[i].response);
  VEC_FREE(&a->opinions);
  free(a->group);
  free(a->version);
  free(a->plural);
  free(a);
}

static struct admission *admission_of(struct request *req) {
  struct admission *a = req->admission;

  if (a || !(a = calloc(1, sizeof(*a))))
    return a;
  a->req = req;
  a->until_ms = mono_ms() + ADMISSION_MS;
  a->group = strdup(req->resource->group);
  a->version = strdup(req->resource->version);
  a->plural = strdup(req->resource->plural);
  req->admission = a;
  return a;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The exchange ends before the answers are there: they go nowhere. */
static void on_peer_gone(void *arg, struct http_exchange *x) {
  struct request *req = arg;

  (void)x;
  req->x = NULL;
}

/* All answers are there. */
static void go_on(struct admission *a) {
  struct request *req = a->req;

  if (!req) {
    admission_free(a);
    return;
  }
  if (!req->x) {
    request_free(req);
    return;
  }
  http_on_close(req->x, NULL, NULL);
  req->resource = registry_find(req->server->registry, a->group, a->version, a->plural);
  if (!req->resource)
    answer_failure(req, 404, "NotFound", "the server could not find the requested resource");
  else if (req->server->stopping)
    answer_failure(req, 503, "ServiceUnavailable", "the server is ending");
  else if (mono_ms() > a->until_ms)
    answer_failure(req, 504, "Timeout", "the object kept changing while webhooks were asked about it; try again");
  else
    request_run_again(req);
}

static void on_opinion(void *arg, int32_t rc, struct json_object *response, const struct ome_err *err) {
  struct question *q = arg;
  struct admission *a = q->admission;
  struct opinion *o = &a->opinions.items[q->index];

  free(q);
  o->there = true;
  o->rc = rc;
  o->err = *err;
  o->response = json_object_get(response);
  if (--a->running == 0)
    go_on(a);
}

static void key_of(const struct webhook *w, struct json_object *request, char out[65]) {
  _cleanup_buf_ struct buf b = BUF_INIT;

  buf_init(&b, SIZE_MAX);
  buf_addf(&b, "%s\n%s\n%s", w->configuration, w->name,
           json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN));
  sha256_hex(buf_str(&b), b.len, out);
}

static struct opinion *find(struct admission *a, const char key[65]) {
  for (size_t i = 0; i < a->opinions.len; i++)
    if (memcmp(a->opinions.items[i].key, key, 65) == 0)
      return &a->opinions.items[i];
  return NULL;
}

/* Begins a call; false: out of memory, answered. */
static bool ask(struct request *req, const struct webhook *w, struct json_object *request, const char key[65]) {
  struct admission *a = req->admission;
  struct question *q = malloc(sizeof(*q));
  struct opinion o = {.err = ERR_INIT};
  struct ome_err err = ERR_INIT;

  memcpy(o.key, key, sizeof(o.key));
  if (!q || !VEC_PUSH(&a->opinions, o)) {
    free(q);
    (void)fail_memory(&err);
    answer_error(req, &err);
    return false;
  }
  *q = (struct question){a, a->opinions.len - 1};
  struct opinion *kept = &a->opinions.items[q->index];
  kept->rc = webhook_ask(req->server, w, request, on_opinion, q, &kept->err);
  if (kept->rc == OME_OK) {
    a->running++;
    http_on_close(req->x, on_peer_gone, req);
  } else {
    kept->there = true;
    free(q);
  }
  return true;
}

enum answer { ANSWER_NONE, ANSWER_THERE, ANSWER_WAITS, ANSWER_ENDED };

/* What W says of A.  NONE: it is not concerned.  THERE: *OUT.  WAITS: it is being asked.  ENDED: answered. */
static enum answer opinion_of(struct request *req, const struct webhook *w, const struct attributes *a,
                              struct opinion *out) {
  const struct resource *as = NULL;
  char key[65];

  *out = (struct opinion){.there = true, .err = ERR_INIT};
  switch (webhook_match(req->server, w, a, &as, &out->err)) {
  case WEBHOOK_PASSES:
    return ANSWER_NONE;
  case WEBHOOK_FAILS:
    out->rc = out->err.code;
    return ANSWER_THERE;
  case WEBHOOK_MATCHES:
    break;
  }
  if (a->dry_run && w->no_dry_run) {
    answer_failure(req, 400, "BadRequest", "admission webhook \"%s\" does not support dry run", w->name);
    return ANSWER_ENDED;
  }
  _cleanup_json_ struct json_object *request = webhook_request(a, as);
  key_of(w, request, key);
  struct admission *mine = admission_of(req);
  const struct opinion *known = mine ? find(mine, key) : NULL;
  if (!known && mine && mine->running >= AT_ONCE)
    return ANSWER_WAITS;
  if (!known && (!mine || !ask(req, w, request, key)))
    return ANSWER_ENDED;
  known = find(mine, key);
  if (known && known->there)
    *out = *known;
  return known && known->there ? ANSWER_THERE : ANSWER_WAITS;
}

/* ---- what follows from an answer --------------------------------------------------------------------------------- */

static void add_warnings(struct request *req, struct json_object *response) {
  struct json_object *list = json_get(response, "warnings");

  for (size_t i = 0; i < json_len(list) && i < 100; i++)
    answer_warning(req, "%.256s", json_object_get_string(json_index(list, i)));
}

static void answer_denied(struct request *req, const struct webhook *w, struct json_object *response) {
  struct json_object *status = json_get(response, "status");
  const char *message = json_str(status, "message", "");
  const char *reason = json_str(status, "reason", "");
  int64_t code = json_i64(status, "code", 0);
  const char *why = *message ? message : reason;
  _cleanup_free_ char *text =
      *why ? str_printf("admission webhook \"%s\" denied the request: %s", w->name, why)
           : str_printf("admission webhook \"%s\" denied the request without explanation", w->name);
  struct json_object *details = json_get(status, "details");

  answer_failure_details(req, code >= 400 && code < 600 ? (int)code : 400, reason, details ? json_copy(details) : NULL,
                         text ? text : "");
}

/* Whether the change may go on after W's opinion O; false: answered. */
static bool settle(struct request *req, const struct webhook *w, const struct opinion *o) {
  if (o->rc != OME_OK) {
    if (!w->ignore)
      answer_failure(req, 500, "InternalError", "Internal error occurred: failed calling webhook \"%s\": %s", w->name,
                     o->err.msg);
    return w->ignore;
  }
  add_warnings(req, o->response);
  if (json_flag(o->response, "allowed", false))
    return true;
  answer_denied(req, w, o->response);
  return false;
}

static int32_t patched(struct json_object *object, const char *encoded, struct json_object **out, struct ome_err *err) {
  size_t len;
  _cleanup_free_ char *text = base64_decode(encoded, &len);
  _cleanup_json_ struct json_object *patch = NULL;

  if (!text)
    return fail(err, OME_E_INVALID, "the patch is not base64");
  int32_t rc = json_parse(text, len, OBJECT_MAX, &patch, err);
  return rc == OME_OK ? patch_json(object, patch, out, err) : rc;
}

/* Puts O's patch into A->object; false: answered. */
static bool apply(struct request *req, const struct webhook *w, const struct opinion *o, struct attributes *a,
                  admission_finish_fn *finish, bool *changed) {
  const char *patch = json_str(o->response, "patch", "");
  struct json_object *result = NULL;
  struct ome_err err = ERR_INIT;

  if (!*patch)
    return true;
  if (!a->object || patched(a->object, patch, &result, &err) != OME_OK) {
    answer_failure(req, 500, "InternalError", "Internal error occurred: admission webhook \"%s\": %s", w->name,
                   a->object ? err.msg : "there is no object to patch");
    return false;
  }
  bool same =
      streq(meta_name(result), meta_name(a->object)) && streq(meta_namespace(result), meta_namespace(a->object));
  json_unref(a->object);
  a->object = result;
  *changed = true;
  if (same)
    return !finish || finish(req, result, a->old);
  answer_failure(req, 500, "InternalError",
                 "Internal error occurred: admission webhook \"%s\" changed the object's name", w->name);
  return false;
}

/* ---- the two rounds ---------------------------------------------------------------------------------------------- */

struct attributes attributes_of(const struct request *req, const char *operation) {
  return (struct attributes){.operation = operation,
                             .resource = req->resource,
                             .sub = req->sub,
                             .ns = req->ns,
                             .name = req->name,
                             .dry_run = req->dry_run,
                             .manager = req->manager};
}

/* Asks W about A's object and lets it change it. */
static enum admitted mutate(struct request *req, const struct webhook *w, struct attributes *a,
                            admission_finish_fn *finish, bool *changed) {
  struct opinion o;

  switch (opinion_of(req, w, a, &o)) {
  case ANSWER_NONE:
    return ADMITTED;
  case ANSWER_WAITS:
    return ADMISSION_WAITS;
  case ANSWER_ENDED:
    return ADMISSION_ENDED;
  case ANSWER_THERE:
    break;
  }
  if (!settle(req, w, &o) || (o.rc == OME_OK && !apply(req, w, &o, a, finish, changed)))
    return ADMISSION_ENDED;
  return ADMITTED;
}

enum admitted admit_mutating(struct request *req, struct attributes *a, admission_finish_fn *finish, bool *changed) {
  size_t n, last = 0;
  const struct webhook *hooks = webhooks_mutating(req->server, &n);
  enum admitted admitted = ADMITTED;

  for (size_t i = 0; admitted == ADMITTED && i < n; i++) {
    bool changes = false;
    admitted = mutate(req, &hooks[i], a, finish, &changes);
    *changed = *changed || changes;
    last = changes ? i : last;
  }
  /* Those that want to see what later ones did see it once. */
  for (size_t i = 0; admitted == ADMITTED && i < last; i++)
    if (hooks[i].reinvoke)
      admitted = mutate(req, &hooks[i], a, finish, changed);
  return admitted;
}

enum admitted admit_validating(struct request *req, const struct attributes *a) {
  size_t n;
  const struct webhook *hooks = webhooks_validating(req->server, &n);
  bool waits = false;
  struct opinion o;

  for (size_t i = 0; i < n; i++) {
    enum answer answer = opinion_of(req, &hooks[i], a, &o);
    if (answer == ANSWER_ENDED)
      return ADMISSION_ENDED;
    waits = waits || answer == ANSWER_WAITS;
  }
  for (size_t i = 0; !waits && i < n; i++)
    if (opinion_of(req, &hooks[i], a, &o) == ANSWER_THERE && !settle(req, &hooks[i], &o))
      return ADMISSION_ENDED;
  return waits ? ADMISSION_WAITS : ADMITTED;
}

enum admitted admit_delete(struct request *req, struct json_object *old) {
  struct attributes a = attributes_of(req, "DELETE");
  bool changed = false;

  a.name = meta_name(old);
  a.ns = meta_namespace(old);
  a.old = old;
  enum admitted admitted = admit_mutating(req, &a, NULL, &changed);
  return admitted == ADMITTED ? admit_validating(req, &a) : admitted;
}

void admission_stop(struct apiserver *s) {
  http_client_free(s->client); /* its calls end, and tell the loop */
  s->client = NULL;
}
