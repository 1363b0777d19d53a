#include "cli/render_diff.h"

#include "base/str.h"
#include "cli/connect.h"
#include "compose/names.h"
#include "controller/controller.h"
#include "controller/diff.h"
#include "controller/manager.h"
#include "kube/meta.h"

#include <stdio.h>
#include <string.h>

#define VALUE_MAX 200 /* of a value's text; a whole pod template on one line helps nobody */

struct printer {
  struct json_object *object;
  size_t n; /* differences printed */
};

static void print_name(const char *mark, struct json_object *o) {
  printf("%s %s %s/%s\n", mark, json_str(o, "kind", ""), meta_namespace(o), meta_name(o));
}

static void print_value(const char *mark, const char *path, struct json_object *v) {
  _cleanup_free_ char *text = json_text(v);
  size_t len = text ? strlen(text) : 0;

  if (v && text)
    printf("    %s %s: %.*s%s\n", mark, path, VALUE_MAX, text, len > VALUE_MAX ? "..." : "");
}

static void print_difference(void *arg, const char *path, struct json_object *live, struct json_object *want) {
  struct printer *p = arg;

  if (p->n++ == 0)
    print_name("~", p->object);
  if (!*path)
    printf("    fields that were applied before are given up\n");
  print_value("-", path, live);
  print_value("+", path, want);
}

/* The controller's objects belong to their service, whose uid no file has. */
static void take_owners(struct json_object *want, struct json_object *live) {
  struct json_object *owners = json_at(live, "metadata.ownerReferences");

  if (owners && !json_at(want, "metadata.ownerReferences"))
    (void)json_set(want, "metadata.ownerReferences", json_copy(owners));
}

/* Whether LIVE is somebody else's than the service's that wants ITEM, which is then said; the controller would not
 * touch it, nor apply anything else of that service. */
static bool is_foreign(struct json_object *item, struct json_object *live) {
  struct json_object *owner = meta_owner(live);
  const char *kind = json_str(owner, "kind", "nobody");
  const char *name = json_str(owner, "name", "");
  _cleanup_free_ char *service = name_label_value(name);

  if (streq(kind, "InferenceService") && service && streq(service, meta_label(item, LABEL_SERVICE)))
    return false;
  print_name("!", item);
  printf("    belongs to %s%s%s: nothing of InferenceService %s would be applied\n", kind, *name ? " " : "", name,
         meta_label(item, LABEL_SERVICE));
  return true;
}

static int32_t compare(struct kube_client *client, struct json_object *item, size_t *changes, struct ome_err *err) {
  _cleanup_json_ struct json_object *want = json_copy(item), *live = NULL;
  const struct kube_resource *resource = NULL;
  const char *kind = json_str(item, "kind", "");
  struct printer p = {.object = item};
  int32_t rc = kube_discover(client, json_str(item, "apiVersion", ""), kind, &resource, err);

  if (rc == OME_OK)
    rc = kube_get(client, resource, meta_namespace(item), meta_name(item), &live, err);
  if (rc == OME_E_NOT_FOUND) {
    err_clear(err);
    print_name("+", item);
    ++*changes;
    return OME_OK;
  }
  if (rc != OME_OK)
    return fail_prefix(err, "%s %s/%s", kind, meta_namespace(item), meta_name(item));
  if (is_foreign(item, live)) {
    ++*changes;
    return OME_OK;
  }
  take_owners(want, live);
  diff_report(want, live, CONTROLLER_MANAGER, print_difference, &p);
  *changes += p.n > 0;
  return OME_OK;
}

/* ---- what would go ----------------------------------------------------------------------------------------------- */

static bool is_wanted(struct json_object *items, const struct kube_resource *r, struct json_object *live) {
  char version[160];

  (void)snprintf(version, sizeof(version), "%s%s%s", r->group, *r->group ? "/" : "", r->version);
  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *o = json_index(items, i);
    if (streq(json_str(o, "kind", ""), r->kind) && streq(json_str(o, "apiVersion", ""), version) &&
        streq(meta_name(o), meta_name(live)) && streq(meta_namespace(o), meta_namespace(live)))
      return true;
  }
  return false;
}

/* Objects of kind R that the service labelled LABEL in NS owns and ITEMS no longer have. */
static int32_t compare_kind(struct kube_client *client, const struct kube_resource *r, const char *ns,
                            const char *label, struct json_object *items, size_t *changes, struct ome_err *err) {
  _cleanup_free_ char *selector = str_printf(LABEL_SERVICE "=%s", label);
  const struct kube_list_opts opts = {.labels = selector, .metadata_only = true};
  _cleanup_json_ struct json_object *found = NULL;
  int32_t rc = selector ? kube_list(client, r, ns, &opts, &found, err) : fail_memory(err);

  if (rc == OME_E_NOT_FOUND) { /* of a project that the cluster does not have */
    err_clear(err);
    return OME_OK;
  }
  for (size_t i = 0; rc == OME_OK && i < json_len(json_get(found, "items")); i++) {
    struct json_object *live = json_index(json_get(found, "items"), i);
    if (!streq(json_str(meta_owner(live), "kind", ""), "InferenceService") || is_wanted(items, r, live))
      continue;
    printf("- %s %s/%s\n", r->kind, ns, meta_name(live));
    ++*changes;
  }
  return rc;
}

/* Whether an object before number I is of the same service. */
static bool is_seen(struct json_object *items, size_t i) {
  struct json_object *o = json_index(items, i);

  for (size_t j = 0; j < i; j++)
    if (streq(meta_label(json_index(items, j), LABEL_SERVICE), meta_label(o, LABEL_SERVICE)) &&
        streq(meta_namespace(json_index(items, j)), meta_namespace(o)))
      return true;
  return false;
}

static int32_t compare_owned(struct kube_client *client, struct json_object *items, size_t *changes,
                             struct ome_err *err) {
  const struct kube_resource *r;
  int32_t rc = OME_OK;

  for (size_t i = 0; i < json_len(items); i++) {
    struct json_object *o = json_index(items, i);
    const char *label = meta_label(o, LABEL_SERVICE);
    if (!label || is_seen(items, i))
      continue;
    for (size_t k = 0; rc == OME_OK && (r = controller_child(k)); k++)
      rc = compare_kind(client, r, meta_namespace(o), label, items, changes, err);
  }
  return rc;
}

int32_t render_diff(struct json_object *items, const char *kubeconfig, size_t *changes, struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  int32_t rc = cli_connect(kubeconfig, NULL, &client, err);

  for (size_t i = 0; rc == OME_OK && i < json_len(items); i++)
    rc = compare(client, json_index(items, i), changes, err);
  return rc == OME_OK ? compare_owned(client, items, changes, err) : rc;
}
