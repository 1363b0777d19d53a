/* Answers: objects, failures as metav1.Status, and the wait for the commit. */
#include "apiserver/server.h"

#include "apiserver/admission.h"
#include "apiserver/faults.h"
#include "base/str.h"
#include "base/yaml.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TRIM_ABOVE ((size_t)1 << 20) /* bytes of an answer */

void request_free(struct request *req) {
  if (!req)
    return;
  free(req->ns);
  free(req->name);
  free(req->sub);
  free(req->manager_text);
  json_unref(req->duplicates);
  admission_free(req->admission);
  free(req->body);
  free(req);
}

struct json_object *status_object(int status, const char *reason, const char *message, struct json_object *details) {
  struct json_object *o = json_object_new_object();

  (void)json_set_str(o, "kind", "Status");
  (void)json_set_str(o, "apiVersion", "v1");
  (void)json_set(o, "metadata", json_object_new_object());
  (void)json_set_str(o, "status", status < 400 ? "Success" : "Failure");
  if (message && *message)
    (void)json_set_str(o, "message", message);
  if (reason && *reason)
    (void)json_set_str(o, "reason", reason);
  if (details)
    (void)json_set(o, "details", details);
  if (status >= 400)
    (void)json_set_i64(o, "code", status);
  return o;
}

void answer_plain_status(struct http_exchange *x, int status, const char *reason, const char *message) {
  _cleanup_json_ struct json_object *o = status_object(status, reason, message, json_object_new_object());
  _cleanup_free_ char *text = json_text(o);

  http_respond(x, status, "application/json", text, text ? strlen(text) : 0);
}

/* ---- held until the commit -------------------------------------------------------------------------------------- */

static void on_peer_gone(void *arg, struct http_exchange *x) {
  struct request *req = arg;

  (void)x;
  req->x = NULL; /* the answer has nobody to go to */
}

static const char *content_type(const struct request *req) {
  return req->pretty_yaml ? "application/yaml" : "application/json";
}

/* What a large answer took goes back to the system a moment after it was sent. */
static void on_trim(void *arg) {
  struct apiserver *s = arg;

  loop_timer_free(s->trim);
  s->trim = NULL;
  (void)malloc_trim(0);
}

void trim_later(struct apiserver *s) {
  if (!s->trim)
    s->trim = loop_timer_new(s->loop, 1000, false, on_trim, s);
}

static void send(struct request *req) {
  if (req->body_len > TRIM_ABOVE)
    trim_later(req->server);
  if (req->x) {
    http_on_close(req->x, NULL, NULL);
    if (!faults_answer(req->server, req->x, req->status, content_type(req), req->body, req->body_len))
      http_respond(req->x, req->status, content_type(req), req->body, req->body_len);
  }
  request_free(req);
}

void answer_text(struct request *req, int status, char *text, size_t len) {
  struct apiserver *s = req->server;

  req->status = status;
  req->body = text;
  req->body_len = len;
  if (!text) {
    req->status = 500;
    req->body_len = 0;
  }
  if (!tells_too_early(s)) {
    send(req);
    return;
  }
  /* What is told now may rest on writes that are not durable yet. */
  http_on_close(req->x, on_peer_gone, req);
  req->next_held = s->held;
  s->held = req;
  touch_turn_end(s);
}

void answer_flush(struct request *answers, const struct ome_err *commit_error) {
  while (answers) {
    struct request *req = answers;
    answers = req->next_held;
    if (commit_error && req->x) {
      free(req->body);
      _cleanup_json_ struct json_object *o =
          status_object(commit_error->code == OME_E_NO_SPACE ? 507 : 500, "InternalError", commit_error->msg, NULL);
      req->body = json_text(o);
      req->body_len = req->body ? strlen(req->body) : 0;
      req->status = commit_error->code == OME_E_NO_SPACE ? 507 : 500;
    }
    send(req);
  }
}

/* ---- forms ------------------------------------------------------------------------------------------------------ */

static char *render(const struct request *req, struct json_object *o, size_t *len) {
  const char *pretty = http_query(req->x, "pretty");
  _cleanup_buf_ struct buf b = BUF_INIT;
  char *text;

  if (req->pretty_yaml) {
    buf_init(&b, (size_t)256 << 20);
    yaml_write(&b, o);
    *len = b.len;
    return buf_take(&b);
  }
  text = pretty && (streq(pretty, "true") || streq(pretty, "1")) ? json_pretty(o) : json_text(o);
  *len = text ? strlen(text) : 0;
  return text;
}

void answer_object(struct request *req, int status, struct json_object *o) {
  bool failure = status >= 400 || streq(json_str(o, "kind", ""), "Status");
  size_t len;

  if (!failure && req->form != FORM_OBJECT) {
    struct json_object *other =
        req->form == FORM_TABLE ? table_make(req, o) : partial_make(o, req->form == FORM_PARTIAL_LIST);
    json_unref(o);
    o = other;
  }
  char *text = render(req, o, &len);
  json_unref(o);
  answer_text(req, status, text, len);
}

void answer_warning(struct request *req, const char *fmt, ...) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  _cleanup_buf_ struct buf header = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  buf_adds(&header, "299 - \"");
  for (const char *p = buf_str(&b); *p; p++) {
    if (*p == '"' || *p == '\\')
      buf_addc(&header, '\\');
    buf_addc(&header, *p);
  }
  buf_addc(&header, '"');
  http_add_header(req->x, "Warning", buf_str(&header));
}

/* ---- failures --------------------------------------------------------------------------------------------------- */

void answer_failure_details(struct request *req, int status, const char *reason, struct json_object *details,
                            const char *message) {
  answer_object(req, status, status_object(status, reason, message, details));
}

struct json_object *details_of(const struct request *req, bool of_kind) {
  struct json_object *d = json_object_new_object();
  const struct resource *r = req->resource;

  if (!r)
    return d;
  if (*req->name)
    (void)json_set_str(d, "name", req->name);
  if (*r->group)
    (void)json_set_str(d, "group", r->group);
  (void)json_set_str(d, "kind", of_kind ? r->kind : r->plural);
  return d;
}

void details_add_cause(struct json_object *details, const char *reason, const char *message, const char *field) {
  struct json_object *cause = json_add_object(json_ensure_array(details, "causes"));

  (void)json_set_str(cause, "reason", reason);
  (void)json_set_str(cause, "message", message);
  if (field)
    (void)json_set_str(cause, "field", field);
}

void answer_failure(struct request *req, int status, const char *reason, const char *fmt, ...) {
  _cleanup_buf_ struct buf b = BUF_INIT;
  va_list ap;

  va_start(ap, fmt);
  buf_vaddf(&b, fmt, ap);
  va_end(ap);
  bool about_object = status == 404 || status == 409 || status == 403;
  answer_failure_details(req, status, reason, about_object ? details_of(req, false) : NULL, buf_str(&b));
}

void answer_not_found(struct request *req) {
  char qualified[256];

  resource_qualified(req->resource, qualified);
  answer_failure(req, 404, "NotFound", "%s \"%s\" not found", qualified, req->name);
}

void answer_conflict(struct request *req, const char *why) {
  char qualified[256];

  resource_qualified(req->resource, qualified);
  answer_failure(req, 409, "Conflict", "Operation cannot be fulfilled on %s \"%s\": %s", qualified, req->name, why);
}

static const char *cause_reason(int type) {
  static const char *const reasons[] = {
      [FIELD_INVALID] = "FieldValueInvalid",          [FIELD_REQUIRED] = "FieldValueRequired",
      [FIELD_UNSUPPORTED] = "FieldValueNotSupported", [FIELD_TYPE] = "FieldValueTypeInvalid",
      [FIELD_TOO_LONG] = "FieldValueTooLong",         [FIELD_DUPLICATE] = "FieldValueDuplicate",
      [FIELD_FORBIDDEN] = "FieldValueForbidden",      [FIELD_NOT_FOUND] = "FieldValueNotFound",
      [FIELD_TOO_MANY] = "FieldValueTooMany",
  };

  return reasons[type];
}

void answer_invalid(struct request *req, struct field_errors *errors) {
  struct json_object *details = details_of(req, true);
  _cleanup_buf_ struct buf b = BUF_INIT;
  char kind[256];
  size_t n = errors->list.len;

  resource_qualified_kind(req->resource, kind);
  buf_addf(&b, "%s \"%s\" is invalid: %s", kind, req->name, n > 1 ? "[" : "");
  for (size_t i = 0; i < n; i++) {
    const struct field_error *e = &errors->list.items[i];
    details_add_cause(details, cause_reason((int)e->type), e->message, e->field);
    buf_addf(&b, "%s%s: %s", i ? ", " : "", e->field, e->message);
  }
  if (n > 1)
    buf_addc(&b, ']');
  answer_failure_details(req, 422, "Invalid", details, buf_str(&b));
}

void answer_error(struct request *req, const struct ome_err *err) {
  switch (err->code) {
  case OME_E_INVALID:
    answer_failure(req, 400, "BadRequest", "%s", err->msg);
    break;
  case OME_E_NO_SPACE:
    answer_failure(req, 507, "InternalError", "%s", err->msg);
    break;
  case OME_E_BUSY:
    answer_failure(req, 429, "TooManyRequests", "%s", err->msg);
    break;
  default:
    answer_failure(req, 500, "InternalError", "Internal error occurred: %s", err->msg);
    break;
  }
}
