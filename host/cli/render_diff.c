#include "cli/render_diff.h"

#include "base/str.h"
#include "cli/connect.h"
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
  take_owners(want, live);
  diff_report(want, live, CONTROLLER_MANAGER, print_difference, &p);
  *changes += p.n > 0;
  return OME_OK;
}

int32_t render_diff(struct json_object *items, const char *kubeconfig, size_t *changes, struct ome_err *err) {
  _cleanup_(kube_client_freep) struct kube_client *client = NULL;
  int32_t rc = cli_connect(kubeconfig, &client, err);

  for (size_t i = 0; rc == OME_OK && i < json_len(items); i++)
    rc = compare(client, json_index(items, i), changes, err);
  return rc;
}
