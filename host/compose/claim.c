#include "compose/claim.h"

#include "base/str.h"
#include "kube/meta.h"

#include <string.h>

#define SCHEME "pvc://"

bool claim_is(const char *uri) {
  return has_prefix(uri, SCHEME);
}

void claim_fini(struct claim *c) {
  free(c->ns);
  free(c->name);
  free(c->path);
  *c = (struct claim){0};
}

/* Whether a component of PATH is "..". */
static bool leads_upward(const char *path) {
  for (const char *p = path; *p;) {
    size_t n = strcspn(p, "/");
    if (n == 2 && p[0] == '.' && p[1] == '.')
      return true;
    p += n + (p[n] == '/');
  }
  return false;
}

/* new: PATH without slashes at its ends: a subPath is relative. */
static char *trimmed(const char *path) {
  size_t len = strlen(path);

  while (len && path[len - 1] == '/')
    len--;
  for (; len && *path == '/'; path++)
    len--;
  return str_copy(path, len);
}

static bool is_sound(const struct claim *c) {
  return is_dns_subdomain(c->name) && (!c->ns || is_dns_label(c->ns)) && !leads_upward(c->path);
}

int32_t claim_parse(const char *uri, struct claim *out, struct ome_err *err) {
  const char *rest = uri + strlen(SCHEME);
  size_t head = claim_is(uri) ? strcspn(rest, "/") : 0;
  const char *colon = head ? memchr(rest, ':', head) : NULL;
  const char *name = colon ? colon + 1 : rest;

  if (head == 0)
    return fail(err, OME_E_INVALID, "\"%.300s\" is no pvc://[NAMESPACE:]CLAIM[/PATH]", uri);
  struct claim c = {
      .ns = colon ? str_copy(rest, (size_t)(colon - rest)) : NULL,
      .name = str_copy(name, head - (size_t)(name - rest)),
      .path = trimmed(rest + head),
  };
  int32_t rc = (colon && !c.ns) || !c.name || !c.path ? fail_memory(err) : OME_OK;
  if (rc == OME_OK && !is_sound(&c))
    rc = fail(err, OME_E_INVALID, "\"%.300s\" is no pvc://[NAMESPACE:]CLAIM[/PATH]", uri);
  if (rc != OME_OK) {
    claim_fini(&c);
    return rc;
  }
  *out = c;
  return OME_OK;
}

/* Whose namespace the address of MODEL names, or has to. */
static int32_t check_namespace(struct json_object *model, const char *uri, const char *ns, const struct claim *c,
                               struct ome_err *err) {
  const char *kind = json_str(model, "kind", "");

  if (streq(kind, "ClusterBaseModel") && !c->ns)
    return fail(
        err, OME_E_INVALID,
        "ClusterBaseModel PVC URI must specify a namespace (format: pvc://{namespace}:{pvc-name}/{sub-path}), got "
        "\"%.300s\"",
        uri);
  if (streq(kind, "BaseModel") && c->ns)
    return fail(err, OME_E_INVALID,
                "namespaced BaseModel PVC URI must not specify a namespace; the BaseModel's own namespace is used, got "
                "\"%.300s\"",
                uri);
  if (c->ns && !streq(c->ns, ns))
    return fail(err, OME_E_INVALID,
                "%s \"%.100s\" references PVC in namespace %s, and pods mount only claims of their own; the service is "
                "in %s",
                kind, meta_name(model), c->ns, ns);
  return OME_OK;
}

int32_t claim_of_model(struct json_object *model, const char *ns, struct claim *out, struct ome_err *err) {
  const char *uri = json_str(model, "spec.storage.storageUri", "");
  struct claim c = {0};
  int32_t rc = claim_parse(uri, &c, err);

  if (rc == OME_E_INVALID)
    return fail_prefix(err, "%s %.100s: spec.storage.storageUri", json_str(model, "kind", ""), meta_name(model));
  if (rc == OME_OK)
    rc = check_namespace(model, uri, ns, &c, err);
  if (rc != OME_OK) {
    claim_fini(&c);
    return rc;
  }
  *out = c;
  return OME_OK;
}

int32_t claim_check(const struct claim *claim, const char *ns, struct json_object *claims, struct ome_err *err) {
  struct json_object *found = NULL;

  for (size_t i = 0; claims && !found && i < json_len(claims); i++) {
    struct json_object *c = json_index(claims, i);
    if (streq(meta_name(c), claim->name) && streq(json_str(c, "metadata.namespace", "default"), ns))
      found = c;
  }
  const char *phase = json_str(found, "status.phase", "Pending");
  if (!claims || (found && streq(phase, "Bound")))
    return OME_OK;
  if (!found)
    return fail(err, OME_E_NOT_FOUND,
                "PersistentVolumeClaim %s/%s is not there; create it, the service follows by itself", ns, claim->name);
  return fail(err, OME_E_UNAVAILABLE, "PersistentVolumeClaim %s/%s is %s, not Bound; pods that mount it wait for it",
              ns, claim->name, phase);
}
