#include "cli/apply_objects.h"

#include "base/str.h"
#include "kube/meta.h"

#include <ctype.h>

static void print_outcome(FILE *report, const struct kube_resource *r, struct json_object *before,
                          struct json_object *after) {
  bool same_object = before && streq(meta_uid(before), meta_uid(after));
  const char *outcome = "created";

  if (same_object)
    outcome = streq(json_str(before, "metadata.resourceVersion", ""), json_str(after, "metadata.resourceVersion", ""))
                  ? "unchanged"
                  : "configured";
  for (const char *k = r->kind; *k; k++)
    (void)fputc(tolower((unsigned char)*k), report);
  fprintf(report, "%s%s/%s %s\n", *r->group ? "." : "", r->group, meta_name(after), outcome);
}

static void say_warning(void *arg, const char *text) {
  fprintf(stderr, "ome: apply: warning: %s %s: %s\n", json_str(arg, "kind", ""), meta_name(arg), text);
}

static int32_t apply_one(struct kube_client *client, struct json_object *doc, const char *ns, FILE *report,
                         struct ome_err *err) {
  _cleanup_json_ struct json_object *before = NULL;
  _cleanup_json_ struct json_object *after = NULL;
  const struct kube_resource *r;
  int32_t rc = kube_discover(client, json_str(doc, "apiVersion", ""), json_str(doc, "kind", ""), &r, err);

  if (rc != OME_OK)
    return rc;
  if (!*meta_name(doc))
    return fail(err, OME_E_INVALID, "metadata.name is missing; apply needs a name");
  if (r->namespaced && !*meta_namespace(doc) &&
      !json_set_str(doc, "metadata.namespace", ns ? ns : kube_client_namespace(client)))
    return fail_memory(err);
  if (report) {
    rc = kube_get(client, r, meta_namespace(doc), meta_name(doc), &before, err);
    if (rc != OME_OK && rc != OME_E_NOT_FOUND)
      return rc;
    err_clear(err);
  }
  kube_client_on_warning(client, say_warning, doc);
  rc = kube_apply(client, r, doc, NULL, "ome", true, &after, err);
  kube_client_on_warning(client, NULL, NULL);
  if (rc == OME_OK && report)
    print_outcome(report, r, before, after);
  return rc;
}

int32_t apply_objects(struct kube_client *client, struct json_object *docs, const char *ns, FILE *report,
                      struct ome_err *err) {
  for (size_t i = 0; i < json_len(docs); i++) {
    struct json_object *doc = json_index(docs, i);
    int32_t rc = apply_one(client, doc, ns, report, err);
    if (rc != OME_OK)
      return fail_prefix(err, "apply %s %s", json_str(doc, "kind", "(no kind)"), meta_name(doc));
  }
  return OME_OK;
}
