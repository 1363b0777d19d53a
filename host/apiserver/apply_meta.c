/* The schema of metav1.ObjectMeta, as far as merging goes by it. */
#include "apiserver/apply_typed.h"

static const struct schema text = {.type = SCHEMA_STRING, .min_length = -1, .max_length = -1};
static const struct schema integer = {.type = SCHEMA_INTEGER, .min_length = -1, .max_length = -1};
static const struct schema boolean = {.type = SCHEMA_BOOLEAN, .min_length = -1, .max_length = -1};
static const struct schema timestamp = {.type = SCHEMA_ANY, .min_length = -1, .max_length = -1};
static const struct schema text_map = {.type = SCHEMA_OBJECT, .additional = &text, .min_length = -1, .max_length = -1};
static const struct schema finalizers = {.type = SCHEMA_ARRAY,
                                         .items = &text,
                                         .list_type = SCHEMA_LIST_SET,
                                         .patch_merge = true,
                                         .min_length = -1,
                                         .max_length = -1};

static const struct schema_property owner_properties[] = {
    {"apiVersion", &text}, {"blockOwnerDeletion", &boolean}, {"controller", &boolean}, {"kind", &text}, {"name", &text},
    {"uid", &text},
};
static const struct schema owner = {.type = SCHEMA_OBJECT,
                                    .properties = owner_properties,
                                    .nproperties = ARRAY_LEN(owner_properties),
                                    .map_atomic = true,
                                    .min_length = -1,
                                    .max_length = -1};
static const char *const owner_keys[] = {"uid", NULL};
static const struct schema owners = {.type = SCHEMA_ARRAY,
                                     .items = &owner,
                                     .list_type = SCHEMA_LIST_MAP,
                                     .list_map_keys = owner_keys,
                                     .patch_merge = true,
                                     .patch_merge_key = "uid",
                                     .min_length = -1,
                                     .max_length = -1};

static const struct schema managed_entry = {
    .type = SCHEMA_OBJECT, .preserve_unknown = true, .min_length = -1, .max_length = -1};
static const struct schema managed_fields = {
    .type = SCHEMA_ARRAY, .items = &managed_entry, .min_length = -1, .max_length = -1};

static const struct schema_property meta_properties[] = {
    {"annotations", &text_map},
    {"creationTimestamp", &timestamp},
    {"deletionGracePeriodSeconds", &integer},
    {"deletionTimestamp", &timestamp},
    {"finalizers", &finalizers},
    {"generateName", &text},
    {"generation", &integer},
    {"labels", &text_map},
    {"managedFields", &managed_fields},
    {"name", &text},
    {"namespace", &text},
    {"ownerReferences", &owners},
    {"resourceVersion", &text},
    {"selfLink", &text},
    {"uid", &text},
};
const struct schema typed_object_meta = {.type = SCHEMA_OBJECT,
                                         .properties = meta_properties,
                                         .nproperties = ARRAY_LEN(meta_properties),
                                         .min_length = -1,
                                         .max_length = -1};

static const struct schema_property root_properties[] = {
    {"apiVersion", &text},
    {"kind", &text},
    {"metadata", &typed_object_meta},
};

static bool is_root_property(const char *name) {
  for (size_t i = 0; i < ARRAY_LEN(root_properties); i++)
    if (strcmp(root_properties[i].name, name) == 0)
      return true;
  return false;
}

static int by_name(const void *a, const void *b) {
  const struct schema_property *l = a, *r = b;

  return strcmp(l->name, r->name);
}

bool typed_root_init(struct typed_root *storage, const struct schema *s) {
  size_t known = s ? s->nproperties : 0, n = 0;

  storage->properties = calloc(known + ARRAY_LEN(root_properties), sizeof(struct schema_property));
  if (!storage->properties)
    return false;
  for (size_t i = 0; i < known; i++)
    if (!is_root_property(s->properties[i].name))
      storage->properties[n++] = s->properties[i];
  for (size_t i = 0; i < ARRAY_LEN(root_properties); i++)
    storage->properties[n++] = root_properties[i];
  qsort(storage->properties, n, sizeof(struct schema_property), by_name);

  storage->schema = s ? *s : (struct schema){.min_length = -1, .max_length = -1};
  storage->schema.preserve_unknown |= !s || (known == 0 && !s->additional);
  storage->schema.type = SCHEMA_OBJECT;
  storage->schema.properties = storage->properties;
  storage->schema.nproperties = n;
  return true;
}

void typed_root_fini(struct typed_root *storage) {
  free(storage->properties);
  storage->properties = NULL;
}
