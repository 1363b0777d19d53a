/* The whole decision record of a service that asks for it with annotation ome.io/selection-record: full, in a ConfigMap
 * of its own: every candidate with every term, as `ome explain isvc NAME` has it, for who has nothing but the API.  It
 * is no part of the plan, because it is wanted most where there is none. */
#include "base/str.h"
#include "compose/plan.h"
#include "controller/internal.h"
#include "kube/meta.h"

#include <string.h>

#define RECORD_KEY "record.json"
#define RECORD_MAX ((size_t)900 << 10) /* bytes; a ConfigMap has room for 1 MiB */
#define RECORD_FEWER 200u              /* candidates of a record that would be larger */

/* What versions it was decided by is in the status, and changes more often than the decision does. */
static char *text_of(const struct plan *plan, size_t max_candidates) {
  _cleanup_json_ struct json_object *record = plan_record(plan, max_candidates);

  json_del(record, "inputs");
  return record ? json_text(record) : NULL;
}

static char *bounded_text(const struct plan *plan) {
  char *text = text_of(plan, 0);

  if (!text || strlen(text) <= RECORD_MAX)
    return text;
  free(text);
  return text_of(plan, RECORD_FEWER);
}

/* new; NULL: out of memory. */
static struct json_object *config_map(struct json_object *service, const char *name, const char *text) {
  _cleanup_json_ struct json_object *o = json_object_new_object();
  struct json_object *data = o ? json_ensure(o, "data") : NULL;

  if (!data || !json_set_str(o, "apiVersion", "v1") || !json_set_str(o, "kind", "ConfigMap") ||
      !json_set_str(o, "metadata.name", name) || !json_set_str(o, "metadata.namespace", meta_namespace(service)) ||
      !json_put_str(data, RECORD_KEY, text))
    return NULL;
  meta_set_owner(o, service);
  return TAKE_PTR(o);
}

static int32_t write_record(struct controller *c, struct json_object *service, const struct plan *plan,
                            const char *name, struct json_object *have, struct ome_err *err) {
  _cleanup_free_ char *text = bounded_text(plan);
  _cleanup_json_ struct json_object *want = text ? config_map(service, name, text) : NULL;
  struct json_object *told = json_get(json_get(have, "data"), RECORD_KEY); /* its name has a dot */

  if (!want)
    return fail_memory(err);
  if (told && streq(json_object_get_string(told), text))
    return OME_OK;
  return kube_apply_on(c->client, &KUBE_CONFIGMAPS, want, have ? meta_uid(have) : NULL, CONTROLLER_MANAGER, NULL, err);
}

int32_t record_keep(struct controller *c, struct json_object *service, const struct plan *plan, struct ome_err *err) {
  bool wanted = plan_keeps_record(service);
  const char *ns = meta_namespace(service);
  _cleanup_json_ struct json_object *have = NULL;

  if (!wanted && !json_at(service, "status.selection.configMap"))
    return OME_OK;
  _cleanup_free_ char *name = plan_record_name(service);
  if (!name)
    return fail_memory(err);
  int32_t rc = kube_get(c->client, &KUBE_CONFIGMAPS, ns, name, &have, err);
  if (rc == OME_E_NOT_FOUND)
    err_clear(err);
  else if (rc != OME_OK)
    return rc;
  bool ours = have && meta_is_owned_by(have, service);
  if (have && !ours && wanted)
    return fail(err, OME_E_EXISTS,
                "ConfigMap %s/%s, where the selection record would be, belongs to somebody else; "
                "delete it or take annotation " PLAN_RECORD_ANNOTATION " off",
                ns, name);
  if (wanted)
    return write_record(c, service, plan, name, have, err);
  rc = ours ? kube_delete(c->client, &KUBE_CONFIGMAPS, ns, name, meta_uid(have), KUBE_BACKGROUND, err) : OME_OK;
  return rc == OME_E_NOT_FOUND ? OME_OK : rc;
}
