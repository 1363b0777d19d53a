/* Field selectors: which labels each kind offers, as clients of the Kubernetes API know them. */
#include "apiserver/server.h"

#include "api/selector.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* Every kind offers metadata.name, and metadata.namespace where it has one. */
static const struct {
  const char *group, *kind;
  const char *labels; /* separated by spaces */
} offered[] = {
    {"", "Pod",
     "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork "
     "status.phase status.podIP status.podIPs status.nominatedNodeName"},
    {"", "Node", "spec.unschedulable"},
    {"", "Namespace", "status.phase"},
    {"", "Secret", "type"},
    {"", "Service", "spec.clusterIP spec.type"},
    {"", "ReplicationController", "status.replicas"},
    {"", "Event",
     "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid "
     "involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason "
     "reportingComponent source type"},
    {"events.k8s.io", "Event",
     "regarding.kind regarding.namespace regarding.name regarding.uid regarding.apiVersion "
     "regarding.resourceVersion regarding.fieldPath reason reportingController type"},
    {"apps", "ReplicaSet", "status.replicas"},
    {"batch", "Job", "status.successful"},
};

/* Labels whose path into the object is another, or whose zero value is not written: an absent field is "". */
static const struct {
  const char *label, *path, *zero;
} odd[] = {
    {"status.successful", "status.succeeded", "0"},    {"source", "source.component", NULL},
    {"status.replicas", "status.replicas", "0"},       {"spec.unschedulable", "spec.unschedulable", "false"},
    {"spec.hostNetwork", "spec.hostNetwork", "false"},
};

static bool has_word(const char *words, const char *word) {
  size_t n = strlen(word);

  for (const char *p = words; (p = strstr(p, word)); p += n)
    if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
      return true;
  return false;
}

static bool is_offered(const struct resource *r, const char *label) {
  if (streq(label, "metadata.name") || streq(label, "metadata.namespace"))
    return true;
  for (size_t i = 0; i < ARRAY_LEN(offered); i++)
    if (!r->crd && streq(offered[i].group, r->group) && streq(offered[i].kind, r->kind))
      return has_word(offered[i].labels, label);
  return false;
}

static void add_term(struct buf *b, const char *term) {
  size_t label = strcspn(term, "=!");
  size_t op = strspn(term + label, "=!");

  if (b->len)
    buf_addc(b, ',');
  for (size_t i = 0; i < ARRAY_LEN(odd); i++)
    if (strlen(odd[i].label) == label && has_prefix(term, odd[i].label)) {
      const char *value = term + label + op;
      buf_addf(b, "%s%.*s%s", odd[i].path, (int)op, term + label, streq(value, odd[i].zero) ? "" : value);
      return;
    }
  buf_adds(b, term);
}

/* TEXT with labels by their paths. */
static char *by_path(const char *text) {
  _cleanup_free_ char **parts = str_split(text, ',');
  _cleanup_buf_ struct buf b = BUF_INIT;

  for (size_t i = 0; parts && parts[i]; i++)
    add_term(&b, parts[i]);
  return buf_take(&b);
}

bool read_field_selector(struct request *req, struct selector **out) {
  const char *text = http_query(req->x, "fieldSelector");
  const struct selector_term *terms;
  struct selector *asked = NULL;
  struct ome_err err = ERR_INIT;

  if (field_selector_parse(text, &asked, &err) != OME_OK) {
    answer_failure(req, 400, "BadRequest", "%s", err.msg);
    return false;
  }
  size_t n = selector_terms(asked, &terms);
  for (size_t i = 0; i < n; i++)
    if (!is_offered(req->resource, terms[i].key)) {
      answer_failure(req, 400, "BadRequest", "field label not supported: %s", terms[i].key);
      selector_free(asked);
      return false;
    }
  selector_free(asked);
  _cleanup_free_ char *paths = text ? by_path(text) : NULL;
  if (field_selector_parse(paths, out, &err) == OME_OK)
    return true;
  answer_failure(req, 400, "BadRequest", "%s", err.msg);
  return false;
}
