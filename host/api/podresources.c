#include "api/podresources.h"

#include "base/quantity.h"
#include "base/str.h"

static int64_t container_request(struct json_object *container, const char *resource) {
  struct json_object *resources = json_get(container, "resources");
  struct json_object *q = json_get(json_get(resources, "requests"), resource);
  int64_t milli = 0;

  if (!q)
    q = json_get(json_get(resources, "limits"), resource);
  return q && quantity_milli(json_object_get_string(q), &milli) && milli > 0 ? milli : 0;
}

/* Sums of what strangers write stay at the largest number. */
static int64_t plus(int64_t a, int64_t b) {
  int64_t sum;

  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t pod_request_milli(struct json_object *pod, const char *resource) {
  struct json_object *mains = json_at(pod, "spec.containers"), *inits = json_at(pod, "spec.initContainers");
  int64_t sum = 0, largest = 0;

  for (size_t i = 0; i < json_len(mains); i++)
    sum = plus(sum, container_request(json_index(mains, i), resource));
  for (size_t i = 0; i < json_len(inits); i++) {
    struct json_object *c = json_index(inits, i);
    int64_t n = container_request(c, resource);
    if (streq(json_str(c, "restartPolicy", ""), "Always"))
      sum = plus(sum, n);
    else if (n > largest)
      largest = n;
  }
  return sum > largest ? sum : largest;
}

bool pod_takes_resources(struct json_object *pod) {
  const char *phase = json_str(pod, "status.phase", "");

  return *json_str(pod, "spec.nodeName", "") && !streq(phase, "Succeeded") && !streq(phase, "Failed");
}
