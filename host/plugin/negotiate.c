/* Whether a plugin and this host understand each other. */
#include "plugin/internal.h"

#include "base/str.h"

#include <ctype.h>
#include <string.h>

/* The sizes of the first release: a struct below them was not built from any ABI header. */
#define MIN_PLUGIN ((uint32_t)sizeof(struct ome_plugin))
#define MIN_FACTORY ((uint32_t)sizeof(struct ome_factory))
#define MIN_KEY ((uint32_t)sizeof(struct ome_key))

static const struct {
  const char *kind;
  uint32_t min, size;
} kinds[] = {
    {OME_KIND_STORAGE, offsetof(struct ome_storage_ops, headers), sizeof(struct ome_storage_ops)},
    {OME_KIND_DEPLOYMENT, offsetof(struct ome_render_ops, needs), sizeof(struct ome_render_ops)},
    {OME_KIND_AUTOSCALER, offsetof(struct ome_render_ops, needs), sizeof(struct ome_render_ops)},
    {OME_KIND_INGRESS, offsetof(struct ome_render_ops, needs), sizeof(struct ome_render_ops)},
    {OME_KIND_SCORER, offsetof(struct ome_scorer_ops, tune), sizeof(struct ome_scorer_ops)},
};

static bool is_factory_name(const char *s) {
  size_t n = s ? strlen(s) : 0;

  if (n == 0 || n > 40 || s[0] == '-')
    return false;
  for (size_t i = 0; i < n; i++)
    if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '-')
      return false;
  return true;
}

static bool is_key_name(const char *s) {
  if (!islower((unsigned char)*s))
    return false;
  while (islower((unsigned char)*s) || isdigit((unsigned char)*s) || *s == '_')
    s++;
  return !*s;
}

static int32_t check_keys(const struct ome_factory *f, struct ome_err *err) {
  size_t n = 0;

  for (const struct ome_key *const *k = f->keys; k && *k; k++, n++) {
    if ((*k)->struct_size < MIN_KEY || !(*k)->name || !(*k)->doc)
      return fail(err, OME_E_INVALID, "factory %s: key %zu has no name, no doc or too small a struct", f->name, n);
    if (!is_key_name((*k)->name))
      return fail(err, OME_E_INVALID, "factory %s: key %zu has a name that is not of the form [a-z][a-z0-9_]*", f->name,
                  n);
    if ((*k)->type > OME_KEY_SECRET)
      return fail(err, OME_E_UNSUPPORTED, "factory %s: key %s is of type %u, unknown to this host", f->name, (*k)->name,
                  (*k)->type);
    if (n > 256)
      return fail(err, OME_E_INVALID, "factory %s: its keys do not end", f->name);
  }
  return OME_OK;
}

static int32_t check_factory(const struct ome_factory *f, struct ome_err *err) {
  if (f->struct_size < MIN_FACTORY)
    return fail(err, OME_E_INVALID, "a factory's struct_size is %u, at least %u is needed", f->struct_size,
                MIN_FACTORY);
  if (!is_factory_name(f->name))
    return fail(err, OME_E_INVALID, "a factory's name is not of the form [a-z0-9-]{1,40}");
  if (!f->kind || !f->ops || !f->create != !f->destroy)
    return fail(err, OME_E_INVALID, "factory %s: kind or ops is NULL, or only one of create and destroy is", f->name);
  if (f->threads > OME_THREADS_PARALLEL)
    return fail(err, OME_E_UNSUPPORTED, "factory %s: unknown thread ceiling %u", f->name, f->threads);
  return check_keys(f, err);
}

int32_t negotiate(const struct ome_plugin *p, struct ome_err *err) {
  size_t n = 0;

  if (p->struct_size < MIN_PLUGIN)
    return fail(err, OME_E_INVALID, "its descriptor has struct_size %u, at least %u is needed", p->struct_size,
                MIN_PLUGIN);
  if (p->abi_epoch != OME_ABI_EPOCH)
    return fail(err, OME_E_UNSUPPORTED, "it was built for ABI epoch %u, this host speaks %u", p->abi_epoch,
                OME_ABI_EPOCH);
  if (p->min_host_minor > OME_ABI_MINOR)
    return fail(err, OME_E_UNSUPPORTED, "it needs a host of ABI %u.%u or newer, this one is %u.%u", OME_ABI_EPOCH,
                p->min_host_minor, OME_ABI_EPOCH, OME_ABI_MINOR);
  if (!p->name || !*p->name || !p->version || !p->license || !p->summary || !p->factories)
    return fail(err, OME_E_INVALID, "its descriptor lacks name, version, license, summary or factories");
  for (const struct ome_factory *const *f = p->factories; *f; f++, n++) {
    int32_t rc = n < 256 ? check_factory(*f, err) : fail(err, OME_E_INVALID, "its factories do not end");
    if (rc != OME_OK)
      return rc;
  }
  return n ? OME_OK : fail(err, OME_E_INVALID, "it has no factories");
}

/* A kind this host does not know is no error: the plugin may have others that it does. */
int32_t copy_ops(const struct ome_factory *f, union ops *out, struct ome_err *err) {
  uint32_t size;

  memset(out, 0, sizeof(*out));
  for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
    if (!streq(kinds[i].kind, f->kind))
      continue;
    memcpy(&size, f->ops, sizeof(size));
    if (size < kinds[i].min)
      return fail(err, OME_E_INVALID, "factory %s: its %s table has struct_size %u, at least %u is needed", f->name,
                  f->kind, size, kinds[i].min);
    memcpy(out, f->ops, size < kinds[i].size ? size : kinds[i].size);
    return OME_OK;
  }
  return fail(err, OME_E_UNSUPPORTED, "factory %s: this host has no kind %s", f->name, f->kind);
}
