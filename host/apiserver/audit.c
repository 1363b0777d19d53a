/* The audit log: who asked for what (audit.k8s.io/v1, level Metadata, stage RequestReceived), one JSON line a request.
 */
#include "apiserver/server.h"

#include "base/clock.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int32_t audit_open(struct apiserver *s, const char *path, struct ome_err *err) {
  s->audit = -1;
  if (!path)
    return OME_OK;
  s->audit = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  return s->audit >= 0 ? OME_OK : fail(err, OME_E_INVALID, "audit log %s: %s", path, strerror(errno));
}

void audit_close(struct apiserver *s) {
  if (s->audit >= 0)
    (void)close(s->audit);
  s->audit = -1;
}

static const char *verb_name(const struct request *req) {
  static const char *const names[] = {[VERB_GET] = "get",       [VERB_LIST] = "list",
                                      [VERB_WATCH] = "watch",   [VERB_CREATE] = "create",
                                      [VERB_UPDATE] = "update", [VERB_PATCH] = "patch",
                                      [VERB_DELETE] = "delete", [VERB_DELETE_COLLECTION] = "deletecollection"};

  return names[req->verb];
}

void audit_request(const struct request *req) {
  const struct apiserver *s = req->server;
  const char *agent = http_header(req->x, "user-agent");
  char now[TIME_TEXT_US];

  if (s->audit < 0)
    return;
  _cleanup_json_ struct json_object *event = json_object_new_object();
  time_format_us(wall_us(), now);
  (void)json_set_str(event, "kind", "Event");
  (void)json_set_str(event, "apiVersion", "audit.k8s.io/v1");
  (void)json_set_str(event, "level", "Metadata");
  (void)json_set_str(event, "stage", "RequestReceived");
  (void)json_set_str(event, "requestURI", http_target(req->x));
  (void)json_set_str(event, "verb", verb_name(req));
  (void)json_set_str(event, "user.username", "ome-admin");
  (void)json_set_str(event, "userAgent", agent ? agent : "");
  (void)json_set_str(event, "objectRef.apiGroup", req->resource->group);
  (void)json_set_str(event, "objectRef.apiVersion", req->resource->version);
  (void)json_set_str(event, "objectRef.resource", req->resource->plural);
  (void)json_set_str(event, "objectRef.subresource", req->sub);
  (void)json_set_str(event, "objectRef.namespace", req->ns);
  (void)json_set_str(event, "objectRef.name", req->name);
  (void)json_set_str(event, "requestReceivedTimestamp", now);
  _cleanup_free_ char *text = json_text(event);
  _cleanup_free_ char *line = text ? str_printf("%s\n", text) : NULL;
  /* One write a line, so that lines are whole.  A full disk costs the log, not the server. */
  if (line && write(s->audit, line, strlen(line)) < 0)
    return;
}
