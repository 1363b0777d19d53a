#include "select/accelerator.h"

#include "base/err.h"
#include "base/quantity.h"
#include "base/str.h"
#include "select/policy.h"
#include "select/vendor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_CLASSES 64 /* a runtime that lists more has its first ones compared */

uint64_t accelerator_memory(struct json_object *class) {
  struct json_object *memory = json_at(class, "spec.capabilities.memoryGB");
  int64_t bytes = 0;

  if (!memory || !quantity_value(json_object_get_string(memory), &bytes) || bytes <= 0)
    return 0;
  /* No device has so few bytes, or so many GiB. */
  return (uint64_t)(bytes < 1 << 20 ? bytes << 30 : bytes);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void answer(struct accelerator_choice *out, int32_t code, const char *fmt,
                                                         ...) {
  va_list ap;

  out->code = code;
  va_start(ap, fmt);
  (void)vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
  va_end(ap);
}

static struct json_object *find_class(struct json_object *classes, const char *name) {
  for (size_t i = 0; i < json_len(classes); i++)
    if (streq(json_str(json_index(classes, i), "metadata.name", ""), name))
      return json_index(classes, i);
  return NULL;
}

/* What the component says itself, else the service. */
static const char *wish(struct json_object *service, const char *component, const char *key) {
  struct json_object *spec = json_get(service, "spec");
  const char *own = json_str(json_at(json_get(spec, component), "acceleratorOverride"), key, "");

  return *own ? own : json_str(json_get(spec, "acceleratorSelector"), key, "");
}

/* ---- policies ---------------------------------------------------------------------------------------------------- */

struct field {
  struct json_object *classes[MAX_CLASSES];
  size_t n;
  char dropped[320]; /* "a100 (its memory ...); t4 (...)" */
};

static void drop(struct field *f, const char *name, const char *why) {
  size_t used = strlen(f->dropped);

  (void)snprintf(f->dropped + used, sizeof(f->dropped) - used, "%s%.64s (%s)", used ? "; " : "", name, why);
}

static bool is_in(const struct field *f, struct json_object *class) {
  for (size_t i = 0; i < f->n; i++)
    if (f->classes[i] == class)
      return true;
  return false;
}

static void enter(struct field *f, struct json_object *constraints, struct json_object *list,
                  struct json_object *classes) {
  char why[160] = "";

  for (size_t i = 0; i < json_len(list) && f->n < MAX_CLASSES; i++) {
    const char *name = json_object_get_string(json_index(list, i));
    struct json_object *class = name ? find_class(classes, name) : NULL;
    if (!class)
      drop(f, name ? name : "", "there is no such AcceleratorClass");
    else if (!is_in(f, class) && !policy_allows(constraints, class, why, sizeof(why)))
      drop(f, name, why);
    else if (!is_in(f, class))
      f->classes[f->n++] = class;
  }
}

int64_t accelerator_devices(struct json_object *service, const char *component, struct json_object *runtime) {
  struct json_object *own = json_get(json_get(service, "spec"), component);
  struct json_object *spec = json_get(runtime, "spec");
  struct json_object *config = json_get(spec, streq(component, "engine") ? "engineConfig" : "decoderConfig");
  struct json_object *runners[] = {
      json_get(own, "runner"),
      json_at(own, "leader.runner"),
      json_get(config, "runner"),
      json_at(config, "leader.runner"),
      json_index(json_get(spec, "containers"), 0),
  };

  for (size_t i = 0; i < ARRAY_LEN(runners); i++) {
    int64_t n = vendor_devices_of(runners[i]);
    if (n)
      return n;
  }
  return 0;
}

/* The class that the component has, if the runtime is the same. */
static const char *current_class(struct json_object *service, const char *component, struct json_object *runtime) {
  struct json_object *status = json_get(service, "status");
  struct json_object *entry = json_get(json_get(status, "components"), component);

  if (!streq(json_str(status, "selection.selected.runtime", ""), json_str(runtime, "metadata.name", "")))
    return NULL;
  return json_str(entry, "selectedAccelerator.acceleratorClass", NULL);
}

static void choose_by_policy(struct json_object *service, const char *component, const char *policy,
                             struct json_object *runtime, struct json_object *classes, struct accelerator_choice *out) {
  struct json_object *list = json_at(runtime, "spec.acceleratorRequirements.acceleratorClasses");
  struct json_object *constraints = json_at(service, "spec.acceleratorSelector.constraints");
  int64_t devices = accelerator_devices(service, component, runtime);
  const struct policy_wish wish = {constraints, devices ? devices : 1, /* what tuning decides on is one at least */
                                   current_class(service, component, runtime)};
  struct field f = {0};
  char why[160] = "";

  if (json_len(list) == 0) {
    answer(out, OME_OK,
           "policy %.40s has nothing to choose from: the runtime lists no acceleratorRequirements.acceleratorClasses",
           policy);
    return;
  }
  enter(&f, constraints, list, classes);
  if (f.n == 0) {
    answer(out, OME_E_NOT_FOUND, "policy %.40s: no accelerator class of the runtime suits: %s", policy, f.dropped);
    return;
  }
  int at = policy_pick(policy, &wish, f.classes, f.n, why, sizeof(why));
  if (at < 0) {
    answer(out, OME_E_INVALID, "policy %.40s: %s", policy, why);
    return;
  }
  out->class = f.classes[at];
  answer(out, OME_OK, "policy %.40s: %s of %zu%s%s", policy, why, f.n, *f.dropped ? "; left out: " : "", f.dropped);
}

void accelerator_choose(struct json_object *service, const char *component, struct json_object *runtime,
                        struct json_object *classes, struct accelerator_choice *out) {
  const char *name = wish(service, component, "acceleratorClass");
  const char *policy = wish(service, component, "policy");

  *out = (struct accelerator_choice){0};
  if (!streq(component, "engine") && !streq(component, "decoder"))
    return;
  if (*name) {
    out->named = true;
    out->class = find_class(classes, name);
    if (out->class)
      answer(out, OME_OK, "the service names it");
    else
      answer(out, OME_E_NOT_FOUND, "accelerator class %.120s not found at cluster scope; apply it, or name another",
             name);
  } else if (*policy) {
    choose_by_policy(service, component, policy, runtime, classes, out);
  }
}
